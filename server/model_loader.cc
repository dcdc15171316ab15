#include "server/model_loader.h"

#include <spdlog/logger.h>

#include <string>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "model/status_macros.h"
#include "server/bundled_model.h"

namespace hmar {
namespace {

absl::StatusOr<std::vector<ModelSpec>> ModelSpecs(const ServerOptions& options) {
  std::vector<ModelSpec> specs;
  for (const std::string& text : options.models) {
    HMAR_ASSIGN_OR_RETURN(specs.emplace_back(), ParseModelSpec(text));
  }
  if (specs.empty()) {
    HMAR_ASSIGN_OR_RETURN(specs.emplace_back(), BundledModel());
  }
  for (ModelSpec& spec : specs) {
    spec.architecture = SettingOf(options.architectures, spec.name, spec.architecture);
    spec.precision = SettingOf(options.precisions, spec.name, spec.precision);
  }
  return specs;
}

absl::StatusOr<DeviceEngines> LoadDevice(const std::vector<ModelSpec>& specs, const Device& device,
                                         const ServerOptions& options,
                                         const EngineFactory& make_engine, spdlog::logger* log) {
  DeviceEngines engines;
  for (const ModelSpec& spec : specs) {
    const absl::Time start = absl::Now();
    HMAR_ASSIGN_OR_RETURN(engines.emplace_back(), make_engine(spec, device, options));
    const EngineInfo& info = engines.back()->info();
    const absl::Duration took = absl::Trunc(absl::Now() - start, absl::Milliseconds(1));
    log->info(
        "model {}: {} px, {} classes, {} parameters, {} on {}, {} images in flight, loaded in {}",
        info.config.name, info.config.image_size, info.config.classes.size(), info.parameters,
        info.precision, info.device, info.max_images, absl::FormatDuration(took));
  }
  return engines;
}

// A folder may have been replaced between two devices' reading it.
absl::Status CheckSameWeights(const std::vector<DeviceEngines>& devices) {
  for (const DeviceEngines& engines : devices) {
    for (size_t model = 0; model < engines.size(); ++model) {
      const EngineInfo& first = devices.front()[model]->info();
      const EngineInfo& info = engines[model]->info();
      if (info.digest == first.digest) continue;
      return absl::FailedPreconditionError(
          absl::StrCat("model ", info.config.name, ": ", first.device, " and ", info.device,
                       " hold different weights: its folder changed while it was loaded"));
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::vector<DeviceEngines>> LoadModels(const ServerOptions& options,
                                                      const std::vector<Device>& devices,
                                                      const EngineFactory& make_engine,
                                                      spdlog::logger* log) {
  HMAR_ASSIGN_OR_RETURN(const std::vector<ModelSpec> specs, ModelSpecs(options));
  std::vector<absl::StatusOr<DeviceEngines>> results(devices.size());
  std::vector<std::thread> loaders;
  for (size_t i = 0; i < devices.size(); ++i) {
    loaders.emplace_back(
        [&, i] { results[i] = LoadDevice(specs, devices[i], options, make_engine, log); });
  }
  for (std::thread& loader : loaders) loader.join();
  std::vector<DeviceEngines> loaded;
  for (absl::StatusOr<DeviceEngines>& result : results) {
    HMAR_ASSIGN_OR_RETURN(loaded.emplace_back(), std::move(result));
  }
  HMAR_RETURN_IF_ERROR(CheckSameWeights(loaded));
  return loaded;
}

}  // namespace hmar
