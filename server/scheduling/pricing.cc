#include "server/scheduling/pricing.h"

#include <algorithm>
#include <utility>

namespace hmar {
namespace {

constexpr double kWeightElsewhere = 0.1;

ImageCost CostOf(const ImageRecord& image) {
  return {image.model, image.rows_left(),
          static_cast<uint32_t>(image.passes->size() - image.next_pass)};
}

}  // namespace

Pricing::Pricing(const SchedulerOptions* options)
    : options_(*options),
      costs_(options->devices.size(), std::vector<CostModel>(options->models().size())) {}

void Pricing::Observe(size_t device, size_t model, uint64_t rows, absl::Duration took) {
  for (size_t i = 0; i < costs_.size(); ++i) {
    costs_[i][model].Observe(rows, took, i == device ? 1 : kWeightElsewhere);
  }
}

absl::Duration Pricing::StepTime(size_t device, size_t model, uint64_t rows) const {
  const CostModel& cost = costs_[device][model];
  if (!cost.measured()) return absl::ZeroDuration();
  const double seconds =
      cost.seconds_per_step() + cost.seconds_per_row() * static_cast<double>(rows);
  return std::max(absl::Seconds(seconds), absl::Microseconds(1));
}

Admission Pricing::Quote(const ImageTable& ahead, size_t model, uint32_t images,
                         const std::vector<Pass>& passes) const {
  ImageCost image{model, 0, static_cast<uint32_t>(passes.size())};
  for (const Pass& pass : passes) image.rows += pass.rows();
  Placement placement = Everything(ahead);
  std::vector<uint32_t> images_of(placement.devices());
  Admission admission;
  for (uint32_t i = 0; i < images; ++i) {
    const size_t device = placement.Place(image);
    if (i == 0) admission.images_ahead = placement.images(device) - 1;
    ++images_of[device];
  }
  for (size_t device = 0; device < images_of.size(); ++device) {
    if (images_of[device] == 0) continue;
    const LoadEstimate estimate = placement.Estimate(device, model);
    const uint64_t rows = image.rows * images_of[device];
    const uint64_t all_rows = placement.loads(device)[model].rows;
    admission.estimated_time = std::max(admission.estimated_time, estimate.time);
    if (all_rows > 0) {
      admission.estimated_device_seconds += estimate.device_seconds * rows / all_rows;
    }
  }
  return admission;
}

absl::Duration Pricing::BacklogTime(const ImageTable& images) const {
  const Placement placement = Everything(images);
  absl::Duration longest;
  for (size_t device = 0; device < placement.devices(); ++device) {
    for (size_t model = 0; model < options_.models().size(); ++model) {
      longest = std::max(longest, placement.Estimate(device, model).time);
    }
  }
  return longest;
}

Placement Pricing::Running(const ImageTable& images) const {
  std::vector<std::vector<ModelLoad>> loads(costs_.size());
  for (size_t device = 0; device < costs_.size(); ++device) {
    for (size_t model = 0; model < costs_[device].size(); ++model) {
      ModelLoad& load = loads[device].emplace_back();
      load.cost = &costs_[device][model];
      load.slots = options_.devices[device][model].max_images;
      load.max_step_rows = options_.StepRows(device, model);
    }
  }
  Placement placement(std::move(loads));
  for (const auto& [id, image] : images) {
    if (image.state != ImageState::kWaiting) placement.Add(*image.device, CostOf(image));
  }
  return placement;
}

size_t Pricing::Place(const ImageRecord& image, Placement* placement) {
  const ImageCost cost = CostOf(image);
  if (!image.device.has_value()) return placement->Place(cost);
  placement->Add(*image.device, cost);
  return *image.device;
}

Placement Pricing::Everything(const ImageTable& images) const {
  Placement placement = Running(images);
  for (const auto& [id, image] : images) {
    if (image.state == ImageState::kWaiting) Place(image, &placement);
  }
  return placement;
}

}  // namespace hmar
