#ifndef HMAR_SERVER_WATCHED_FILES_H_
#define HMAR_SERVER_WATCHED_FILES_H_

#include <memory>

#include "absl/status/status.h"
#include "server/base/clock.h"
#include "server/keys/key_ring.h"
#include "server/operations/basic_auth.h"
#include "server/operations/reloader.h"
#include "server/options.h"

namespace hmar {

// What the options name files for that may change while the server runs: keys, and who may read the
// metrics. (TLS's are gRPC's own to watch.)
class WatchedFiles {
 public:
  // Reads them, and has `reloader` read them again; it must be gone before this is. Errors name the
  // flag, the file and the line. Call once.
  absl::Status Open(const ServerOptions& options, Reloader* reloader);

  KeyRing* keys() const { return keys_.get(); }                    // Null: none are asked for.
  BasicAuth* metrics_auth() const { return metrics_auth_.get(); }  // Likewise.
  const Clock& clock() const { return clock_; }

 private:
  const RealClock clock_{};
  const SteadyClock steady_{};
  std::unique_ptr<KeyRing> keys_;
  std::unique_ptr<BasicAuth> metrics_auth_;
};

}  // namespace hmar

#endif  // HMAR_SERVER_WATCHED_FILES_H_
