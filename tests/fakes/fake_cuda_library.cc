// A libhmar_cuda.so without CUDA: its engines are fake ones, so that everything around a GPU can be
// tested without one. There are eight devices. What goes wrong, the environment says:
//   HMAR_FAKE_CUDA_LOST_AFTER_STEPS=N  each device is lost after so many steps;
//   HMAR_FAKE_CUDA_HANG_AFTER_STEPS=N  each hangs in the step after so many, for good;
//   HMAR_FAKE_CUDA_FAILS_SEED=N        images of this seed (0: the probe's) have no finite logits;
//   HMAR_FAKE_CUDA_LOAD_HANGS=1        no engine ever comes to be;
//   HMAR_FAKE_CUDA_IMAGE_SIZE=N        pictures have sides of N pixels.

#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <optional>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "model/cuda_engine.h"
#include "model/status_macros.h"
#include "tests/fakes/fake_engine.h"

namespace hmar {
namespace {

constexpr int kDevices = 8;
constexpr uint32_t kImagesThatFit = 16;

// A number of the environment; nothing: it is not set.
absl::StatusOr<std::optional<uint64_t>> Setting(const char* name) {
  const char* text = std::getenv(name);
  if (text == nullptr) return std::nullopt;
  uint64_t number = 0;
  if (absl::SimpleAtoi(text, &number)) return number;
  return absl::InvalidArgumentError(absl::StrCat(name, " is no number"));
}

absl::StatusOr<FakeFaults> Faults() {
  FakeFaults faults;
  HMAR_ASSIGN_OR_RETURN(const auto lost, Setting("HMAR_FAKE_CUDA_LOST_AFTER_STEPS"));
  HMAR_ASSIGN_OR_RETURN(const auto hangs, Setting("HMAR_FAKE_CUDA_HANG_AFTER_STEPS"));
  HMAR_ASSIGN_OR_RETURN(const auto fails, Setting("HMAR_FAKE_CUDA_FAILS_SEED"));
  faults.lost_after_steps = lost.value_or(faults.lost_after_steps);
  faults.hang_after_steps = hangs.value_or(faults.hang_after_steps);
  if (fails.has_value()) faults.non_finite_seeds = {*fails};
  return faults;
}

absl::StatusOr<std::unique_ptr<Engine>> Make(const ModelFolder& folder,
                                             const CudaEngineOptions& options) {
  while (std::getenv("HMAR_FAKE_CUDA_LOAD_HANGS") != nullptr) pause();
  if (options.device >= kDevices) {
    return absl::FailedPreconditionError(absl::StrCat("there are ", kDevices, " devices"));
  }
  const uint32_t slots = options.max_images == 0 ? kImagesThatFit : options.max_images;
  EngineInfo info = FakeEngineInfo(folder.config.name, slots);
  HMAR_ASSIGN_OR_RETURN(const auto image_size, Setting("HMAR_FAKE_CUDA_IMAGE_SIZE"));
  if (image_size.has_value()) info.config.image_size = static_cast<int>(*image_size);
  info.digest = folder.digest;
  info.device = absl::StrCat("cuda:", options.device);
  info.precision = options.precision == Precision::kFp8 ? "fp8" : "bf16";
  info.max_step_rows = options.max_step_rows;
  info.memory = {{"weights", 1'000'000}, {"slots", 1000 * slots}};
  HMAR_ASSIGN_OR_RETURN(const FakeFaults faults, Faults());
  return std::make_unique<FakeEngine>(std::move(info), faults);
}

}  // namespace
}  // namespace hmar

extern "C" void hmar_make_cuda_engine(hmar::ModelFolder* folder,
                                      const hmar::CudaEngineOptions* options,
                                      absl::StatusOr<std::unique_ptr<hmar::Engine>>* engine) {
  *engine = hmar::Make(*folder, *options);
}
