#include "tests/sim/replica.h"

#include <memory>
#include <utility>

namespace hmar::sim {
namespace {

uint32_t Or(uint32_t value, uint32_t otherwise) { return value == 0 ? otherwise : value; }

EngineInfo InfoOf(const ServerSettings& settings, const DeviceProfile& profile) {
  EngineInfo info;
  info.config = profile.config;
  info.device = "simulated";
  info.max_images = Or(settings.max_images_in_flight, profile.slots);
  return info;
}

SchedulerOptions OptionsOf(const ServerSettings& settings, const DeviceProfile& profile) {
  SchedulerOptions options;
  options.max_queued_images = settings.max_queued_images;
  options.max_queued_images_per_client = settings.max_queued_images_per_client;
  options.max_step_rows = Or(settings.max_step_rows, profile.max_step_rows);
  options.reserved_slots = settings.reserved_slots;
  options.aging = settings.aging;
  options.devices = {{InfoOf(settings, profile)}};
  return options;
}

class Deaf final : public WorkListener {
 public:
  void OnPreview(uint32_t, uint32_t, Picture) override {}
  void OnImage(uint32_t, FinishedImage) override {}
  void OnFailed(const absl::Status&) override {}
};

}  // namespace

void DeviceUse::Add(const DeviceUse& more) {
  busy_seconds += more.busy_seconds;
  steps += more.steps;
  rows += more.rows;
  passes += more.passes;
}

Replica::Replica(const ServerSettings& settings, const DeviceProfile* profile, const Clock* clock,
                 uint64_t seed)
    : profile_(*profile),
      clock_(*clock),
      rests_since_(clock->Now()),
      engine_(profile, InfoOf(settings, *profile), seed),
      scheduler_(OptionsOf(settings, *profile), clock, /*metrics=*/nullptr) {
  MakeProbeImage();
  scheduler_.ObserveDelivery(absl::Seconds(profile->answer_seconds));
}

void Replica::MakeProbeImage() {
  Work work;
  work.probe = true;
  work.job.prototype.class_id = 0;
  work.job.prototype.sampling = profile_.config.sampling;
  work.origin.client = "probe";
  work.listener = std::make_shared<Deaf>();
  if (!scheduler_.Submit(std::move(work)).ok()) return;  // An empty server takes it.
  while (BeginStep()) EndStep();
  use_ = {};
}

std::optional<absl::Duration> Replica::BeginStep() {
  if (step_) return std::nullopt;
  while (std::optional<PlannedStep> step = scheduler_.NextStep()) {
    Prepare(*step);
    absl::StatusOr<StepReport> report = engine_.Step(step->ids);
    if (step->ids.empty() || !report.ok()) {
      scheduler_.Finish(*step, std::move(report), absl::ZeroDuration());
      continue;
    }
    const double seconds =
        engine_.SecondsOf(*report, absl::ToDoubleSeconds(clock_.Now() - rests_since_));
    use_.Add({seconds, 1, report->rows, report->passes.size()});
    step_ = {*std::move(step), *std::move(report), absl::Seconds(seconds)};
    return absl::Seconds(seconds + profile_.between_steps_seconds);
  }
  return std::nullopt;
}

// An image that the engine refused would be named in a step that fails; this engine refuses none.
void Replica::Prepare(PlannedStep& step) {
  for (const auto& [model, id] : step.cancelled) engine_.Cancel(id);
  for (PlannedStep::NewImage& image : step.admitted) {
    engine_.Admit(image.id, std::move(image.task)).IgnoreError();
  }
  for (const auto& [id, scales] : step.truncated) engine_.Truncate(id, scales).IgnoreError();
}

void Replica::EndStep() {
  Running ended = *std::exchange(step_, std::nullopt);
  rests_since_ = clock_.Now();
  scheduler_.Finish(ended.step, std::move(ended.report), ended.took);
}

}  // namespace hmar::sim
