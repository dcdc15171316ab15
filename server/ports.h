#ifndef HMAR_SERVER_PORTS_H_
#define HMAR_SERVER_PORTS_H_

#include <string>

#include "absl/status/status.h"
#include "server/options.h"

namespace hmar {

// Whether --listen, --http and --metrics can be listened on, all at once: asked before models are
// loaded, which takes minutes. They are let go again; so what listens later may still fail.
// UNAVAILABLE names the flag, the address and the reason.
absl::Status CheckPorts(const ServerOptions& options);

// The same words for whoever finds it out.
absl::Status CannotListen(const std::string& flag, const std::string& address,
                          const absl::Status& why);

}  // namespace hmar

#endif  // HMAR_SERVER_PORTS_H_
