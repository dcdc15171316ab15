#ifndef HMAR_SERVER_ENGINE_FACTORY_H_
#define HMAR_SERVER_ENGINE_FACTORY_H_

#include <memory>

#include "absl/status/statusor.h"
#include "model/engine.h"
#include "server/devices.h"
#include "server/options.h"

namespace hmar {

// Loads the model of `spec` onto `device`, within the options' limits; the engine calls it
// spec.name. A GPU's engine comes from libhmar_cuda.so, looked for beside this program, in ../lib
// of that, then by the loader. Thread-safe; blocks for seconds. Errors are one line for the user
// that names the folder or the device.
absl::StatusOr<std::unique_ptr<Engine>> MakeEngine(const ModelSpec& spec, const Device& device,
                                                   const ServerOptions& options);

}  // namespace hmar

#endif  // HMAR_SERVER_ENGINE_FACTORY_H_
