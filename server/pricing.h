#ifndef HMAR_SERVER_PRICING_H_
#define HMAR_SERVER_PRICING_H_

// What a request will cost and how long it will take, given what is in line before it.

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/time/time.h"
#include "model/sampling_plan.h"
#include "server/cost_model.h"
#include "server/image_table.h"
#include "server/scheduler.h"

namespace hmar {

// Thread-compatible.
class Pricing {
 public:
  // `options` outlives it.
  explicit Pricing(const SchedulerOptions* options)
      : options_(*options), costs_(options->models.size()) {}

  // A step of model `model` was measured.
  void Observe(size_t model, uint64_t rows, absl::Duration took) {
    costs_[model].Observe(rows, took);
  }

  // What a request for `images` images of `passes` each can be told, behind all of `ahead` (id 0).
  Admission Quote(const ImageTable& ahead, size_t model, uint32_t images,
                  const std::vector<Pass>& passes) const;

  // Until all of `images` is done.
  absl::Duration BacklogTime(const ImageTable& images) const;

 private:
  std::vector<ModelLoad> Loads(const ImageTable& images) const;

  const SchedulerOptions& options_;
  std::vector<CostModel> costs_;  // By model.
};

}  // namespace hmar

#endif  // HMAR_SERVER_PRICING_H_
