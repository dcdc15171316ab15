#include "server/pricing.h"

#include <algorithm>

namespace hmar {

Admission Pricing::Quote(const ImageTable& ahead, size_t model, uint32_t images,
                         const std::vector<Pass>& passes) const {
  Admission admission;
  admission.images_ahead = static_cast<uint32_t>(ahead.size());
  if (!costs_[model].measured()) return admission;

  uint64_t rows = 0;
  for (const Pass& pass : passes) rows += pass.rows();
  rows *= images;
  std::vector<ModelLoad> loads = Loads(ahead);
  ModelLoad& load = loads[model];
  load.images += images;
  load.rows += rows;
  load.passes = std::max(load.passes, static_cast<uint32_t>(passes.size()));

  const LoadEstimate estimate = EstimateLoad(loads, model, options_.max_step_rows);
  admission.estimated_time = estimate.time;
  if (load.rows > 0) {
    admission.estimated_device_seconds = estimate.device_seconds * rows / load.rows;
  }
  return admission;
}

absl::Duration Pricing::BacklogTime(const ImageTable& images) const {
  const std::vector<ModelLoad> loads = Loads(images);
  absl::Duration longest;
  for (size_t m = 0; m < loads.size(); ++m) {
    longest = std::max(longest, EstimateLoad(loads, m, options_.max_step_rows).time);
  }
  return longest;
}

std::vector<ModelLoad> Pricing::Loads(const ImageTable& images) const {
  std::vector<ModelLoad> loads(options_.models.size());
  for (size_t m = 0; m < loads.size(); ++m) {
    loads[m].cost = &costs_[m];
    loads[m].slots = options_.models[m].max_images;
  }
  for (const auto& [id, image] : images) {
    ModelLoad& load = loads[image.model];
    ++load.images;
    load.rows += image.rows_left();
    load.passes =
        std::max(load.passes, static_cast<uint32_t>(image.passes->size() - image.next_pass));
  }
  return loads;
}

}  // namespace hmar
