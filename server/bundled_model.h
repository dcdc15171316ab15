#ifndef HMAR_SERVER_BUNDLED_MODEL_H_
#define HMAR_SERVER_BUNDLED_MODEL_H_

#include "absl/status/statusor.h"
#include "server/options.h"

namespace hmar {

// The model that comes with the server, for a start without --model: in share/hmar-server/models
// beside the program's bin/ folder or, for a build that was not installed, in the source tree.
// NOT_FOUND names the places.
absl::StatusOr<ModelSpec> BundledModel();

}  // namespace hmar

#endif  // HMAR_SERVER_BUNDLED_MODEL_H_
