#ifndef HMAR_MODEL_CUDA_STEP_LAUNCHER_H_
#define HMAR_MODEL_CUDA_STEP_LAUNCHER_H_

#include <cuda_runtime_api.h>

#include <cstdint>
#include <deque>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "model/cuda/cuda_model.h"
#include "model/cuda/image_in_flight.h"
#include "model/cuda/step_graphs.h"

namespace hmar {

// Brings steps onto the device and their verdicts back: it fills the tables of a step in pinned
// memory, copies them, launches the kernels, copies back which images failed and the tokens of
// those whose last pass it was. Up to kAhead steps are under way. Takes all its memory at creation.
// Not thread-safe.
class StepLauncher {
 public:
  static constexpr int kAhead = 2;

  // What a finished step came to.
  struct Verdict {
    struct Failed {
      std::shared_ptr<ImageInFlight> image;
      Pass pass;
    };
    std::vector<Failed> failed;  // Logits that are not finite.
  };

  static absl::StatusOr<std::unique_ptr<StepLauncher>> Create(CudaModel* model);
  ~StepLauncher();

  // Runs the steps of an image alone, for the model's own schedule and for one pass a scale, with
  // guidance and without; with `capture` keeps them as graphs. Waits.
  absl::Status WarmUp(bool capture);

  // Brings the tokens that images start from (their prefixes', an edit's) and the maps of what an
  // edit draws into their slots, and clears their feature maps.
  absl::Status Start(absl::Span<const std::shared_ptr<ImageInFlight>> images);

  // Adds scales without a pass to their images' feature maps. REQUIRES: jobs have different slots;
  // no scale of an image is laid twice.
  absl::Status Lay(absl::Span<const kernels::TokenMapJob> jobs);

  // Launches the next pass of each image. REQUIRES: images are started, not done and in slots;
  // under_way() < kAhead.
  absl::Status Launch(absl::Span<const std::shared_ptr<ImageInFlight>> images);

  // After Launch, for those of its images whose last pass that was (or, without a launch, that have
  // no pass): fetches their tokens.
  absl::Status FetchTokens(absl::Span<const std::shared_ptr<ImageInFlight>> images);

  // Closes what was launched since the last Seal as one step.
  absl::Status Seal();

  int under_way() const { return static_cast<int>(running_.size()); }

  // The oldest step's verdict, if it is done (or once it is, with `wait`); fills its images'
  // tokens. Nothing while it runs. REQUIRES: under_way() > 0.
  absl::StatusOr<bool> Collect(bool wait, Verdict* verdict);

 private:
  struct Record;
  explicit StepLauncher(CudaModel* model);
  absl::Status TakeBuffers();
  ImageStep Describe(const ImageInFlight& image) const;
  const uint8_t* OpenOf(const Pass& pass, int slot, bool edit) const;
  absl::Status LaunchTables(absl::Span<const ImageStep> images, Record* record);
  absl::Status WarmUpPlan(const std::vector<Pass>& plan, bool capture);

  CudaModel* const model_;
  std::unique_ptr<StepGraphs> graphs_;
  void* device_tables_ = nullptr;
  int32_t* device_failed_ = nullptr;
  kernels::TokenMapJob* device_lay_jobs_ = nullptr;  // As Record::lay_jobs.
  std::vector<std::unique_ptr<Record>> records_;
  std::vector<Record*> free_;
  Record* open_ = nullptr;  // Being launched.
  std::deque<Record*> running_;
};

}  // namespace hmar

#endif  // HMAR_MODEL_CUDA_STEP_LAUNCHER_H_
