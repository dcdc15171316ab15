#include "server/scheduling/step_booking.h"

#include <utility>

namespace hmar {

void StepBooking::Book(const PlannedStep& step, StepReport report, absl::Duration took,
                       absl::Time now) {
  // Before the passes are booked: by the rows that the step had.
  ledger_.images().Charge(step.ids, took - step.expected);
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

void StepBooking::BookPasses(const PlannedStep& step, const std::vector<PassReport>& passes,
                             absl::Duration took, absl::Time now) {
  uint64_t rows = 0;
  for (const PassReport& pass : passes) rows += pass.rows;
  if (rows > 0) pricing_.Observe(step.device, step.model, rows, took);
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
