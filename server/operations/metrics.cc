#include "server/operations/metrics.h"

#include <exception>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "prometheus/text_serializer.h"
#include "server/operations/metric_families.h"

namespace hmar {

absl::StatusOr<std::unique_ptr<Metrics>> Metrics::Create(const std::vector<Model>& models,
                                                         const std::vector<Device>& devices,
                                                         const std::string& version) {
  std::set<std::string> names;
  for (const Model& model : models) {
    if (!names.insert(model.name).second) {
      return absl::InvalidArgumentError(absl::StrCat("two models are named ", model.name));
    }
  }
  try {
    return std::unique_ptr<Metrics>(
        new Metrics(std::make_unique<MetricFamilies>(models, devices, version)));
  } catch (const std::exception& error) {
    return absl::InternalError(absl::StrCat("cannot set up metrics: ", error.what()));
  }
}

Metrics::Metrics(std::unique_ptr<MetricFamilies> families) : families_(std::move(families)) {}

Metrics::~Metrics() = default;

std::shared_ptr<prometheus::Collectable> Metrics::collectable() const { return families_->all; }

std::string Metrics::Text() const {
  return prometheus::TextSerializer().Serialize(families_->all->Collect());
}

void Metrics::RequestDone(std::optional<size_t> model, absl::StatusCode code, absl::Duration took) {
  MetricFamilies::PerModel& series = model ? families_->models[*model] : families_->no_model;
  series.requests[static_cast<size_t>(code)]->Increment();
  if (model) series.request_duration->Observe(absl::ToDoubleSeconds(took));
}

void Metrics::FirstPreview(size_t model, absl::Duration since_request) {
  families_->models[model].first_preview->Observe(absl::ToDoubleSeconds(since_request));
}

void Metrics::RequestEstimated(size_t model, absl::Duration estimated, absl::Duration took) {
  if (estimated <= absl::ZeroDuration()) return;
  families_->models[model].estimate_ratio->Observe(absl::FDivDuration(took, estimated));
}

void Metrics::PreviewSent(size_t model, PreviewMode mode) {
  families_->models[model].previews_sent[static_cast<size_t>(mode)]->Increment();
}

void Metrics::PreviewDropped(size_t model, PreviewMode mode) {
  families_->models[model].previews_dropped[static_cast<size_t>(mode)]->Increment();
}

void Metrics::PictureEncoded(absl::Duration took) {
  families_->encode_duration->Observe(absl::ToDoubleSeconds(took));
}

void Metrics::AdmissionRejected(Reason reason) {
  const auto found = families_->rejected.find(reason);
  if (found != families_->rejected.end()) found->second->Increment();
}

void Metrics::QueueChanged(size_t model, uint32_t queued_images) {
  families_->models[model].queue_images->Set(queued_images);
}

void Metrics::RunningChanged(size_t device, size_t model, uint32_t running_images) {
  families_->models[model].devices[device].running_images->Set(running_images);
}

void Metrics::ImageStarted(size_t model, absl::Duration queued) {
  families_->models[model].queue_duration->Observe(absl::ToDoubleSeconds(queued));
}

void Metrics::ImagesEnded(size_t model, ImageOutcome outcome, uint32_t images) {
  families_->models[model].images[static_cast<size_t>(outcome)]->Increment(images);
}

void Metrics::ScaleRan(size_t device, size_t model, uint32_t scale, double device_seconds) {
  families_->models[model].devices[device].scale_seconds[scale]->Increment(device_seconds);
}

void Metrics::CancelReleased(size_t model, absl::Duration since_cancel) {
  families_->models[model].cancel_release->Observe(absl::ToDoubleSeconds(since_cancel));
}

void Metrics::UploadRead(absl::Duration took) {
  families_->upload_read->Observe(absl::ToDoubleSeconds(took));
}

void Metrics::UploadLookedUp(size_t model, bool hit) {
  const MetricFamilies::PerModel& series = families_->models[model];
  (hit ? series.upload_hits : series.upload_misses)->Increment();
}

void Metrics::UploadsEncoded(size_t device, size_t model, absl::Duration took) {
  const MetricFamilies::PerDevice& series = families_->models[model].devices[device];
  series.upload_encode->Observe(absl::ToDoubleSeconds(took));
  series.device_busy->Increment(absl::ToDoubleSeconds(took));
}

void Metrics::StepDone(size_t device, size_t model, uint32_t rows, uint32_t images,
                       absl::Duration took, double decode_seconds) {
  const MetricFamilies::PerDevice& series = families_->models[model].devices[device];
  const double seconds = absl::ToDoubleSeconds(took);
  series.step_duration->Observe(seconds);
  series.step_tokens->Observe(rows);
  series.step_images->Observe(images);
  if (decode_seconds > 0) series.decode_duration->Observe(decode_seconds);
  series.device_busy->Increment(seconds);
}

PrincipalMeter* Metrics::MeterOf(const std::string& principal) {
  return families_->MeterOf(principal);
}

void PrincipalMeter::Ran(double device_seconds) { device_seconds_->Increment(device_seconds); }

void PrincipalMeter::ImagesSent(uint32_t images) { images_->Increment(images); }

void Metrics::ConnectionsChanged(uint32_t open) { families_->connections->Set(open); }

void Metrics::ConnectionRefused(ConnectionRefusal why) {
  families_->connections_refused[static_cast<size_t>(why)]->Increment();
}

}  // namespace hmar
