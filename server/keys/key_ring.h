#ifndef HMAR_SERVER_KEYS_KEY_RING_H_
#define HMAR_SERVER_KEYS_KEY_RING_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/types/span.h"
#include "server/base/clock.h"
#include "server/keys/image_allowance.h"
#include "server/keys/key.h"

namespace hmar {

// Who has shown a key, and what they may. What they may is as it stood when they showed it; the
// allowance is that of all calls of that name.
struct KeyHolder {
  Key key;
  std::shared_ptr<ImageAllowance> allowance;

  // PERMISSION_DENIED, MODEL_NOT_ALLOWED: not this model of the server's.
  absl::Status CheckModel(const std::string& model) const;
  // PERMISSION_DENIED, PRIORITY_NOT_ALLOWED.
  absl::Status CheckPriority(int priority) const;
  // RESOURCE_EXHAUSTED, QUOTA_IMAGES, with the time until there are so many again. REQUIRES: images
  // <= allowance->most().
  absl::Status TakeImages(uint32_t images, ImageAllowance::Ticket* ticket) const;
};

// The keys of a keys file, and who shows which. Thread-safe.
class KeyRing {
 public:
  // Of the file `path` (see key_file.h), whose keys may use `models`; an error is the file's. The
  // clocks outlive it; `steady` is never set back.
  static absl::StatusOr<std::unique_ptr<KeyRing>> Open(const std::string& path,
                                                       std::vector<std::string> models,
                                                       const Clock* clock, const Clock* steady);

  // Reads the file again; an error leaves everything as it was. Calls under way go on as they
  // began. Says what is in force now, for the log. A name keeps what it has left of its images.
  absl::StatusOr<std::string> Reload();

  // Who calls, by every authorization header of a call: there must be one, "Bearer KEY".
  // UNAUTHENTICATED: KEY_MISSING, KEY_UNKNOWN, KEY_EXPIRED. No message quotes anything of a key.
  // Takes the same time whichever key it is and however much of it is right.
  absl::StatusOr<std::shared_ptr<const KeyHolder>> Identify(
      absl::Span<const std::string> authorization) const;

  // Of all keys in force.
  std::vector<std::string> names() const;

 private:
  using Holders = std::vector<std::shared_ptr<const KeyHolder>>;

  KeyRing(std::string path, std::vector<std::string> models, const Clock* clock,
          const Clock* steady);
  std::shared_ptr<const Holders> holders() const;
  std::shared_ptr<ImageAllowance> AllowanceOf(const Key& key, const Holders& before) const;

  const std::string path_;
  const std::vector<std::string> models_;
  const Clock& clock_;
  const Clock& steady_;
  absl::Mutex reload_mutex_;  // One reload at a time.
  mutable absl::Mutex mutex_;
  std::shared_ptr<const Holders> holders_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace hmar

#endif  // HMAR_SERVER_KEYS_KEY_RING_H_
