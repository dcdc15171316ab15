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
  ImageCost cost;
  cost.model = image.model;
  cost.rows = image.rows_left();
  cost.passes = static_cast<uint32_t>(image.passes->size() - image.next_pass);
  cost.pictures = image.side.pictures;
  cost.uploads = image.state == ImageState::kWaiting ? image.side.uploads : 0;
  return cost;
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

void Pricing::Observe(size_t device, size_t model, const MeasuredStep& step) {
  const absl::Duration expected =
      ForwardTime(device, model, step.rows) + DecodingTime(device, model, step.pictures);
  if (expected > absl::ZeroDuration()) {
    paces_[device][model].Observe(absl::FDivDuration(step.took, expected));
  }
  for (size_t i = 0; i < costs_.size(); ++i) {
    costs_[i][model].Observe(step, i == device ? 1 : kWeightElsewhere);
  }
}

void Pricing::ObserveUploads(size_t device, size_t model, uint32_t pictures, absl::Duration took) {
  for (size_t i = 0; i < costs_.size(); ++i) {
    costs_[i][model].ObserveUploads(pictures, took, i == device ? 1 : kWeightElsewhere);
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

absl::Duration Pricing::ForwardTime(size_t device, size_t model, uint64_t rows) const {
  const CostModel& cost = costs_[device][model];
  if (!cost.measured()) return absl::ZeroDuration();
  return std::max(absl::Seconds(cost.Seconds(static_cast<double>(rows))), absl::Microseconds(1));
}

absl::Duration Pricing::DecodingTime(size_t device, size_t model, uint32_t pictures) const {
  return absl::Seconds(pictures * costs_[device][model].picture_seconds());
}

// Of a row in a full step.
Prices Pricing::PricesOf(size_t model) const {
  const CostModel& cost = costs_[0][model];
  const double rows = options_.StepRows(0, model);
  const double row = cost.Seconds(rows) / rows;
  if (row <= 0) return {};
  return {row, cost.picture_seconds(), cost.upload_seconds()};
}

Backlog Pricing::Until(const ImageTable& table, const Work& work, const Backlog& more,
                       const FairQueue::Outlook& outlook) const {
  const Prices prices = PricesOf(work.job.model);
  Backlog total = more;
  for (const auto& [priority, queue] : table.priorities(work.job.model)) {
    if (priority > work.job.priority) {
      total.Add(queue.backlog());
      total.Add(queue.Coming(outlook));
    }
    if (priority != work.job.priority) continue;
    const Backlog own = queue.Own(work.origin.client);
    total.Add(own);
    total.Add(queue.Ahead(work.origin.client, work.origin.weight, prices.Of(more) + prices.Of(own),
                          prices, outlook));
  }
  return total;
}

// What comes while the work waits, and goes before it, makes it wait longer, so that more comes.
Admission Pricing::Quote(const ImageTable& ahead, const Work& work, const std::vector<Pass>& passes,
                         absl::Time now) const {
  constexpr int kRounds = 4;
  const SideWork side = SideWorkOf(work, 0);
  Backlog first{1, 0, static_cast<double>(side.pictures), static_cast<double>(side.uploads)};
  for (const Pass& pass : passes) first.rows += pass.rows();
  Backlog own = first;
  own.Add({first.images, first.rows, first.pictures, 0}, work.job.images - 1.0);
  Admission admission;
  admission.images_ahead =
      static_cast<uint32_t>(std::lround(Until(ahead, work, first, {}).images)) - 1;
  const Placement others = OtherModels(ahead, work.job.model);
  for (int round = 0; round < kRounds; ++round) {
    const absl::Duration before = admission.estimated_time;
    Estimate(Until(ahead, work, own, {before, now}), own, work.job.model,
             static_cast<uint32_t>(passes.size()), others, &admission);
    if (admission.estimated_time - before < before / 20) break;
  }
  return admission;
}

void Pricing::Estimate(const Backlog& until, const Backlog& own, size_t model, uint32_t passes,
                       Placement placement, Admission* admission) {
  admission->estimated_time = absl::ZeroDuration();
  admission->estimated_device_seconds = 0;
  Spread(until, model, passes, &placement);
  for (size_t device = 0; device < placement.devices(); ++device) {
    if (placement.loads(device)[model].images == 0) continue;
    const LoadEstimate estimate = placement.Estimate(device, model);
    admission->estimated_time = std::max(admission->estimated_time, estimate.time);
    admission->estimated_device_seconds += estimate.device_seconds;
  }
  if (until.rows > 0) admission->estimated_device_seconds *= own.rows / until.rows;
}

absl::Duration Pricing::ClientBacklogTime(const ImageTable& images, const Work& work) const {
  const size_t model = work.job.model;
  Placement placement = OtherModels(images, model);
  Spread(Until(images, work, {}, {}), model, default_passes_[model], &placement);
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
    const double share = static_cast<double>(to - from) / images;
    placement->Place({model, rows_of(to) - rows_of(from), passes, static_cast<uint32_t>(to - from),
                      share * backlog.pictures, share * backlog.uploads});
  }
}

size_t Pricing::Place(const ImageRecord& image, Placement* placement) {
  const ImageCost cost = CostOf(image);
  if (!image.device.has_value()) return placement->Place(cost);
  placement->Add(*image.device, cost);
  return *image.device;
}

}  // namespace hmar
