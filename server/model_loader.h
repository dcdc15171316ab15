#ifndef HMAR_SERVER_MODEL_LOADER_H_
#define HMAR_SERVER_MODEL_LOADER_H_

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "model/engine.h"
#include "server/devices.h"
#include "server/options.h"

namespace spdlog {
class logger;
}  // namespace spdlog

namespace hmar {

// Loads one model onto one device. What comes back is called spec.name (info().config.name). Errors
// name the folder. Called by several threads at the same time.
using EngineFactory = std::function<absl::StatusOr<std::unique_ptr<Engine>>(
    const ModelSpec& spec, const Device& device, const ServerOptions& options)>;

// By model.
using DeviceEngines = std::vector<std::unique_ptr<Engine>>;

using LateLoadCallback = std::function<void(const std::string& what)>;

// Loads every model of the options (none: the bundled one) onto every device; the devices load side
// by side, each on a thread of its own, its models one after the other. By device. Errors: the
// first device's; FAILED_PRECONDITION: two devices hold different weights under one name.
absl::StatusOr<std::vector<DeviceEngines>> LoadModels(const ServerOptions& options,
                                                      const std::vector<Device>& devices,
                                                      const EngineFactory& make_engine,
                                                      spdlog::logger* log,
                                                      const LateLoadCallback& on_late);

}  // namespace hmar

#endif  // HMAR_SERVER_MODEL_LOADER_H_
