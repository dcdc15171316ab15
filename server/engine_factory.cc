#include "server/engine_factory.h"

#include <filesystem>
#include <string>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "model/cpu_engine.h"
#include "model/cuda_engine.h"
#include "model/model_folder.h"
#include "model/status_macros.h"
#include "server/base/available_cores.h"
#include "server/cuda_library.h"

namespace hmar {
namespace {

// The error, with what it is about before its message.
absl::Status About(const std::string& subject, const absl::Status& status) {
  return absl::Status(status.code(), absl::StrCat(subject, ": ", std::string(status.message())));
}

absl::StatusOr<MakeCudaEngineFunction> CudaEngineOf(const Device& device) {
  std::error_code ignored;
  const std::string program = std::filesystem::read_symlink("/proc/self/exe", ignored);
  absl::StatusOr<MakeCudaEngineFunction> make = OpenCudaLibrary(CudaLibraryPlaces(program));
  if (make.ok()) return make;
  return About(absl::StrCat("--device ", device.name), make.status());
}

absl::StatusOr<std::unique_ptr<Engine>> MakeOnCuda(MakeCudaEngineFunction make, ModelFolder folder,
                                                   const Device& device,
                                                   const std::string& precision,
                                                   const ServerOptions& options) {
  const DeviceLimits limits = LimitsOf(options, device);
  CudaEngineOptions engine_options;
  engine_options.device = device.ordinal;
  engine_options.max_images = limits.max_images;
  engine_options.max_step_rows = limits.max_step_rows;
  engine_options.precision = precision == "fp8" ? Precision::kFp8 : Precision::kBf16;
  const std::string subject = absl::StrCat("model ", folder.config.name, " on ", device.name);
  absl::StatusOr<std::unique_ptr<Engine>> engine =
      absl::InternalError("the library did not answer");
  make(&folder, &engine_options, &engine);
  if (engine.ok()) return engine;
  return About(subject, engine.status());
}

}  // namespace

absl::StatusOr<std::unique_ptr<Engine>> MakeEngine(const ModelSpec& spec, const Device& device,
                                                   const ServerOptions& options) {
  const bool cuda = device.kind == Device::Kind::kCuda;
  MakeCudaEngineFunction make_on_cuda = nullptr;
  // First: reading the model takes a while.
  if (cuda) {
    HMAR_ASSIGN_OR_RETURN(make_on_cuda, CudaEngineOf(device));
  }
  HMAR_ASSIGN_OR_RETURN(const std::string precision, PrecisionOn(device, spec.precision));
  HMAR_ASSIGN_OR_RETURN(ModelFolder folder, OpenModelFolder(spec.path, spec.architecture));
  folder.config.name = spec.name;
  if (cuda) return MakeOnCuda(make_on_cuda, std::move(folder), device, precision, options);
  CpuEngineOptions engine_options;
  engine_options.max_images = LimitsOf(options, device).max_images;
  engine_options.threads =
      static_cast<int>(options.threads == 0 ? AvailableCores() : options.threads);
  return MakeCpuEngine(std::move(folder), engine_options);
}

}  // namespace hmar
