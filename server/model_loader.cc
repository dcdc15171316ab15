#include "server/model_loader.h"

#include <spdlog/logger.h>

#include <string>
#include <thread>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/synchronization/mutex.h"
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

// What each device is loading. Thread-safe.
class LoadProgress {
 public:
  explicit LoadProgress(size_t devices) : loading_(devices, "a model"), left_(devices) {}

  void Begin(size_t device, std::string what) {
    absl::MutexLock lock(&mutex_);
    loading_[device] = std::move(what);
  }

  void Done(size_t device) {
    absl::MutexLock lock(&mutex_);
    loading_[device].clear();
    --left_;
  }

  // Waits until all devices are done; false if that takes longer than `limit`.
  bool Await(absl::Duration limit) {
    const auto done = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return left_ == 0; };
    absl::MutexLock lock(&mutex_);
    return mutex_.AwaitWithTimeout(absl::Condition(&done), limit);
  }

  // What is being loaded now.
  std::string Missing() const {
    absl::MutexLock lock(&mutex_);
    std::vector<std::string> missing = loading_;
    std::erase(missing, "");
    return absl::StrJoin(missing, ", ");
  }

 private:
  mutable absl::Mutex mutex_;
  std::vector<std::string> loading_ ABSL_GUARDED_BY(mutex_);  // By device; "" once it is done.
  size_t left_ ABSL_GUARDED_BY(mutex_);
};

absl::StatusOr<DeviceEngines> LoadDevice(const std::vector<ModelSpec>& specs, const Device& device,
                                         const ServerOptions& options,
                                         const EngineFactory& make_engine, spdlog::logger* log,
                                         const std::function<void(std::string)>& begin) {
  DeviceEngines engines;
  for (const ModelSpec& spec : specs) {
    begin(absl::StrCat("model ", spec.name, " on ", device.name));
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
                                                      spdlog::logger* log,
                                                      const LateLoadCallback& on_late) {
  HMAR_ASSIGN_OR_RETURN(const std::vector<ModelSpec> specs, ModelSpecs(options));
  std::vector<absl::StatusOr<DeviceEngines>> results(devices.size());
  LoadProgress progress(devices.size());
  std::vector<std::thread> loaders;
  for (size_t i = 0; i < devices.size(); ++i) {
    loaders.emplace_back([&, i] {
      const auto begin = [&](std::string what) { progress.Begin(i, std::move(what)); };
      results[i] = LoadDevice(specs, devices[i], options, make_engine, log, begin);
      progress.Done(i);
    });
  }
  const absl::Duration limit =
      options.load_seconds == 0 ? absl::InfiniteDuration() : absl::Seconds(options.load_seconds);
  if (!progress.Await(limit)) on_late(progress.Missing());
  for (std::thread& loader : loaders) loader.join();
  std::vector<DeviceEngines> loaded;
  for (absl::StatusOr<DeviceEngines>& result : results) {
    HMAR_ASSIGN_OR_RETURN(loaded.emplace_back(), std::move(result));
  }
  HMAR_RETURN_IF_ERROR(CheckSameWeights(loaded));
  return loaded;
}

}  // namespace hmar
