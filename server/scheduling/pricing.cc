#include "server/scheduling/pricing.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace hmar {
namespace {

constexpr double kWeightElsewhere = 0.1;

// A backlog goes to several devices in this many parts at most: however long it is, a price takes
// the same time.
constexpr uint32_t kPartsOfBacklog = 64;

ImageCost CostOf(const ImageRecord& image) {
  return {image.model, image.rows_left(),
          static_cast<uint32_t>(image.passes->size() - image.next_pass)};
}

}  // namespace

Pricing::Pricing(const SchedulerOptions* options)
    : options_(*options),
      costs_(options->devices.size(), std::vector<CostModel>(options->models().size())),
      pictures_(options->devices.size(), std::vector<LagEstimate>(options->models().size())),
      paces_(pictures_) {
  for (const EngineInfo& info : options_.models()) {
    ImageTask task;
    task.sampling = info.config.sampling;
    default_passes_.push_back(static_cast<uint32_t>(PlanPasses(info.config, task).size()));
  }
}

void Pricing::Observe(size_t device, size_t model, uint64_t rows, absl::Duration took) {
  if (const absl::Duration expected = StepTime(device, model, rows);
      expected > absl::ZeroDuration())
    paces_[device][model].Observe(absl::FDivDuration(took, expected));
  for (size_t i = 0; i < costs_.size(); ++i) {
    costs_[i][model].Observe(rows, took, i == device ? 1 : kWeightElsewhere);
  }
}

void Pricing::ObservePicture(size_t device, size_t model, absl::Duration took) {
  pictures_[device][model].Observe(absl::ToDoubleSeconds(took));
}

absl::Duration Pricing::TimeToClient(size_t device, size_t model) const {
  return absl::Seconds(pictures_[device][model].Bound(0) + delivery_.Bound(0));
}

absl::Duration Pricing::MostTimeToClient(size_t device, size_t model) const {
  constexpr double kDeviations = 4;  // As RFC 6298 has it.
  return absl::Seconds(pictures_[device][model].Bound(kDeviations) + delivery_.Bound(kDeviations));
}

absl::Duration Pricing::TimeToClient(size_t model) const {
  absl::Duration longest;
  for (size_t device = 0; device < costs_.size(); ++device) {
    longest = std::max(longest, TimeToClient(device, model));
  }
  return longest;
}

// A forecast is of several steps, which do not all deviate at once.
double Pricing::Pace(size_t device, size_t model) const {
  constexpr double kDeviations = 2, kMost = 3;
  return std::clamp(paces_[device][model].Bound(kDeviations), 1.0, kMost);
}

absl::Duration Pricing::StepTime(size_t device, size_t model, uint64_t rows) const {
  const CostModel& cost = costs_[device][model];
  if (!cost.measured()) return absl::ZeroDuration();
  return std::max(absl::Seconds(cost.Seconds(static_cast<double>(rows))), absl::Microseconds(1));
}

Backlog Pricing::Until(const ImageTable& table, const Work& work, double images, uint64_t rows) {
  Backlog total{images, static_cast<double>(rows)};
  const auto add = [&total](const Backlog& more) {
    total.images += more.images;
    total.rows += more.rows;
  };
  for (const auto& [priority, queue] : table.priorities(work.job.model)) {
    if (priority > work.job.priority) add(queue.backlog());
    if (priority != work.job.priority) continue;
    const Backlog own = queue.Own(work.origin.client);
    add(own);
    add(queue.Ahead(work.origin.client, work.origin.weight, rows + own.rows));
  }
  return total;
}

Admission Pricing::Quote(const ImageTable& ahead, const Work& work,
                         const std::vector<Pass>& passes) const {
  const size_t model = work.job.model;
  const uint32_t images = work.job.images;
  uint64_t rows = 0;
  for (const Pass& pass : passes) rows += pass.rows();
  const auto all_passes = static_cast<uint32_t>(passes.size());
  Placement placement = OtherModels(ahead, model);
  Admission admission;
  admission.images_ahead =
      static_cast<uint32_t>(std::lround(Until(ahead, work, 1, rows).images)) - 1;
  const Backlog until = Until(ahead, work, images, images * rows);
  Spread(until, model, all_passes, &placement);
  for (size_t device = 0; device < placement.devices(); ++device) {
    const ModelLoad& load = placement.loads(device)[model];
    if (load.images == 0) continue;
    const LoadEstimate estimate = placement.Estimate(device, model);
    admission.estimated_time = std::max(admission.estimated_time, estimate.time);
    admission.estimated_device_seconds += estimate.device_seconds;
  }
  if (until.rows > 0) admission.estimated_device_seconds *= images * rows / until.rows;
  return admission;
}

absl::Duration Pricing::ClientBacklogTime(const ImageTable& images, const Work& work) const {
  const size_t model = work.job.model;
  Placement placement = OtherModels(images, model);
  Spread(Until(images, work, 0, 0), model, default_passes_[model], &placement);
  absl::Duration longest;
  for (size_t device = 0; device < placement.devices(); ++device) {
    longest = std::max(longest, placement.Estimate(device, model).time);
  }
  return longest;
}

absl::Duration Pricing::BacklogTime(const ImageTable& images) const {
  Placement placement = Empty();
  for (size_t model = 0; model < options_.models().size(); ++model) {
    for (const auto& [priority, queue] : images.priorities(model)) {
      Spread(queue.backlog(), model, default_passes_[model], &placement);
    }
  }
  absl::Duration longest;
  for (size_t device = 0; device < placement.devices(); ++device) {
    for (size_t model = 0; model < options_.models().size(); ++model) {
      longest = std::max(longest, placement.Estimate(device, model).time);
    }
  }
  return longest;
}

Placement Pricing::Empty() const {
  std::vector<std::vector<ModelLoad>> loads(costs_.size());
  for (size_t device = 0; device < costs_.size(); ++device) {
    for (size_t model = 0; model < costs_[device].size(); ++model) {
      ModelLoad& load = loads[device].emplace_back();
      load.cost = &costs_[device][model];
      load.slots = options_.devices[device][model].max_images;
      load.max_step_rows = options_.StepRows(device, model);
    }
  }
  return Placement(std::move(loads));
}

Placement Pricing::OtherModels(const ImageTable& images, size_t model) const {
  Placement placement = Empty();
  for (size_t other = 0; other < options_.models().size(); ++other) {
    if (other == model) continue;
    for (const auto& [priority, queue] : images.priorities(other)) {
      Spread(queue.backlog(), other, default_passes_[other], &placement);
    }
  }
  return placement;
}

Placement Pricing::Running(const ImageTable& images) const {
  Placement placement = Empty();
  for (size_t device = 0; device < costs_.size(); ++device) {
    for (size_t model = 0; model < costs_[device].size(); ++model) {
      const ImageTable::Held& held = images.held(device, model);
      for (const auto* ids : {&held.running, &held.decoding}) {
        for (const ImageId id : *ids) placement.Add(device, CostOf(*images.Find(id)));
      }
    }
  }
  return placement;
}

void Pricing::Spread(const Backlog& backlog, size_t model, uint32_t passes, Placement* placement) {
  const auto images = static_cast<uint32_t>(std::ceil(backlog.images));
  const uint32_t parts = placement->devices() == 1 ? 1 : kPartsOfBacklog;
  for (uint32_t part = 0; part < parts; ++part) {
    const uint64_t from = uint64_t{images} * part / parts;
    const uint64_t to = uint64_t{images} * (part + 1) / parts;
    if (from == to) continue;
    const auto rows_of = [&](uint64_t first) {
      return static_cast<uint64_t>(backlog.rows * static_cast<double>(first) / images);
    };
    placement->Place(
        {model, rows_of(to) - rows_of(from), passes, static_cast<uint32_t>(to - from)});
  }
}

size_t Pricing::Place(const ImageRecord& image, Placement* placement) {
  const ImageCost cost = CostOf(image);
  if (!image.device.has_value()) return placement->Place(cost);
  placement->Add(*image.device, cost);
  return *image.device;
}

}  // namespace hmar
