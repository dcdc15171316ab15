#include "server/scheduling/step_booking.h"

#include <utility>

namespace hmar {

void StepBooking::Book(const PlannedStep& step, StepReport report, absl::Duration took,
                       absl::Time now) {
  // Before the passes are booked: by the rows that the step had.
  ledger_.images().Charge(step.ids, took - step.expected, absl::ZeroDuration());
  BookUploads(step);
  Measure(step, report, took);
  BookPasses(step, report.passes, took, now);
  for (PreviewReport& preview : report.previews) ledger_.BookPreview(std::move(preview));
  for (ImageReport& image : report.images) {
    if (const ImageRecord* record = ledger_.images().Find(image.id)) {
      pricing_.ObservePicture(step.device, record->model, now - record->ended);
    }
    ledger_.BookPicture(std::move(image), now);
  }
  for (const FailureReport& failure : report.failures) ledger_.BookFailure(failure, now);
}

// Whose uploads were tokenized pay for it: others waited meanwhile.
void StepBooking::BookUploads(const PlannedStep& step) {
  if (step.tokenized.empty()) return;
  pricing_.ObserveUploads(step.device, step.model, static_cast<uint32_t>(step.tokenized.size()),
                          step.tokenizing);
  std::vector<ImageId> ids;
  for (const PlannedStep::NewImage& image : step.admitted) {
    if (image.picture != nullptr) ids.push_back(image.id);
  }
  ledger_.images().Charge(ids, step.tokenizing, absl::ZeroDuration());
}

void StepBooking::Measure(const PlannedStep& step, const StepReport& report, absl::Duration took) {
  MeasuredStep measured;
  for (const PassReport& pass : report.passes) measured.rows += pass.rows;
  if (measured.rows == 0) return;
  measured.pictures = static_cast<uint32_t>(report.images.size());
  for (const PreviewReport& preview : report.previews) {
    const ImageRecord* image = ledger_.images().Find(preview.id);
    if (image != nullptr && image->full_previews != nullptr) ++measured.pictures;
  }
  measured.took = took;
  measured.decoding = absl::Seconds(report.decode_seconds);
  pricing_.Observe(step.device, step.model, measured);
}

void StepBooking::BookPasses(const PlannedStep& step, const std::vector<PassReport>& passes,
                             absl::Duration took, absl::Time now) {
  uint64_t rows = 0;
  for (const PassReport& pass : passes) rows += pass.rows;
  for (const PassReport& pass : passes) {
    const double share = rows == 0 ? 0 : static_cast<double>(pass.rows) / rows;
    const double seconds = share * absl::ToDoubleSeconds(took);
    ledger_.BookPass(pass, seconds, static_cast<uint32_t>(passes.size()));
    if (metrics_ != nullptr && pass.rows > 0) {
      metrics_->ScaleRan(step.device, step.model, pass.scale, seconds);
    }
  }
  for (ImageId id : step.ids) {
    ImageRecord* image = ledger_.images().Find(id);
    if (image != nullptr && image->next_pass >= image->passes->size()) {
      ledger_.images().Decode(*image, now);
    }
  }
}

}  // namespace hmar
