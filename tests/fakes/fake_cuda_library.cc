// A libhmar_cuda.so without CUDA: its engines are fake ones, so that everything around a GPU can be
// tested without one. There are eight devices. HMAR_FAKE_CUDA_LOST_AFTER_STEPS in the environment:
// each is lost after so many steps.

#include <cstdlib>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "model/cuda_engine.h"
#include "tests/fakes/fake_engine.h"

namespace hmar {
namespace {

constexpr int kDevices = 8;
constexpr uint32_t kImagesThatFit = 16;

absl::StatusOr<std::unique_ptr<Engine>> Make(const ModelFolder& folder,
                                             const CudaEngineOptions& options) {
  if (options.device >= kDevices) {
    return absl::FailedPreconditionError(absl::StrCat("there are ", kDevices, " devices"));
  }
  const uint32_t slots = options.max_images == 0 ? kImagesThatFit : options.max_images;
  EngineInfo info = FakeEngineInfo(folder.config.name, slots);
  info.digest = folder.digest;
  info.device = absl::StrCat("cuda:", options.device);
  info.precision = options.precision == Precision::kFp8 ? "fp8" : "bf16";
  info.max_step_rows = options.max_step_rows;
  info.memory = {{"weights", 1'000'000}, {"slots", 1000 * slots}};
  FakeFaults faults;
  const char* steps = std::getenv("HMAR_FAKE_CUDA_LOST_AFTER_STEPS");
  if (steps != nullptr && !absl::SimpleAtoi(steps, &faults.lost_after_steps)) {
    return absl::InvalidArgumentError("HMAR_FAKE_CUDA_LOST_AFTER_STEPS is no number");
  }
  return std::make_unique<FakeEngine>(std::move(info), faults);
}

}  // namespace
}  // namespace hmar

extern "C" void hmar_make_cuda_engine(hmar::ModelFolder* folder,
                                      const hmar::CudaEngineOptions* options,
                                      absl::StatusOr<std::unique_ptr<hmar::Engine>>* engine) {
  *engine = hmar::Make(*folder, *options);
}
