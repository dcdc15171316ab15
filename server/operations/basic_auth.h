#ifndef HMAR_SERVER_OPERATIONS_BASIC_AUTH_H_
#define HMAR_SERVER_OPERATIONS_BASIC_AUTH_H_

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "server/base/clock.h"

namespace hmar {

// Who may read the metrics: HTTP's basic authentication (RFC 7617) against a file of lines
// USER:HASH, where HASH is crypt(5)'s of a password: bcrypt, yescrypt or SHA-2, as htpasswd -B and
// mkpasswd make them. Lines that are empty or begin with # say nothing.
//
// Such hashes are slow on purpose. So who was right once is known again by a quick hash of what
// they said, and of the others only a few a second are worked out: strangers cost no more than
// that. Thread-safe.
class BasicAuth {
 public:
  enum class Answer {
    kYes,
    kNo,
    kTooMany,  // Too many who were not known have asked this second.
  };

  // INVALID_ARGUMENT "FILE:LINE: what": it cannot be read, has no user, has one twice, a line that
  // is no USER:HASH, or a hash that is none or of a weak kind. No message quotes a hash. `clock` is
  // never set back, and outlives the object.
  static absl::StatusOr<std::unique_ptr<BasicAuth>> Open(const std::string& path,
                                                         const Clock* clock);

  // Reads the file again; an error leaves everything as it was.
  absl::StatusOr<std::string> Reload();

  Answer Check(absl::string_view user, absl::string_view password);

 private:
  using Digest = std::array<uint8_t, 32>;
  struct User {
    std::string hash;
    bool known = false;
    Digest digest = {};  // SHA-256 of the password, once it was right.
  };

  BasicAuth(std::string path, const Clock* clock) : path_(std::move(path)), clock_(*clock) {}
  bool MayTry() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const std::string path_;
  const Clock& clock_;
  absl::Mutex mutex_;
  std::map<std::string, User, std::less<>> users_ ABSL_GUARDED_BY(mutex_);
  double tries_ ABSL_GUARDED_BY(mutex_) = 0;  // Left; see MayTry.
  absl::Time counted_at_ ABSL_GUARDED_BY(mutex_) = absl::InfinitePast();
};

}  // namespace hmar

#endif  // HMAR_SERVER_OPERATIONS_BASIC_AUTH_H_
