#ifndef HMAR_SERVER_SCHEDULING_PRICING_H_
#define HMAR_SERVER_SCHEDULING_PRICING_H_

// What a request will cost and how long it will take, given what is in line before it.

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/time/time.h"
#include "model/sampling_plan.h"
#include "server/scheduling/admission.h"
#include "server/scheduling/cost_model.h"
#include "server/scheduling/image_table.h"
#include "server/scheduling/placement.h"
#include "server/scheduling/scheduler_options.h"

namespace hmar {

// Thread-compatible.
class Pricing {
 public:
  // `options` outlives it.
  explicit Pricing(const SchedulerOptions* options);

  // A step of model `model` on `device` was measured. It counts for the other devices too, a tenth:
  // one that has not run the model yet is taken to be like them, and one that looks slow because of
  // a single slow step is tried again in time.
  void Observe(size_t device, size_t model, uint64_t rows, absl::Duration took);

  // What a step of so many rows should take; zero before any step of the model, never after.
  absl::Duration StepTime(size_t device, size_t model, uint64_t rows) const;

  // What a request for `images` images of `passes` each can be told, behind all of `ahead` (id 0).
  Admission Quote(const ImageTable& ahead, size_t model, uint32_t images,
                  const std::vector<Pass>& passes) const;

  // Until all of `images` is done.
  absl::Duration BacklogTime(const ImageTable& images) const;

  // The devices with what runs on them; what waits is still to be placed.
  Placement Running(const ImageTable& images) const;
  // Puts a waiting image where it will be done first, or where it must go. Returns that device.
  static size_t Place(const ImageRecord& image, Placement* placement);

 private:
  Placement Everything(const ImageTable& images) const;

  const SchedulerOptions& options_;
  std::vector<std::vector<CostModel>> costs_;  // By device and model.
};

}  // namespace hmar

#endif  // HMAR_SERVER_SCHEDULING_PRICING_H_
