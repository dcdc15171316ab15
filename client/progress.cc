#include "client/progress.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/printable.h"

namespace hmar {
namespace {

std::string Seconds(absl::Duration duration) {
  return absl::StrFormat("%.2f s", absl::ToDoubleSeconds(duration));
}

std::string Images(uint32_t count) {
  return absl::StrCat(count, count == 1 ? " image" : " images");
}

std::string ImageOf(uint32_t index, uint32_t images) {
  return absl::StrFormat("image %d/%d  ", uint64_t{index} + 1, images);
}

}  // namespace

absl::Duration ToAbsl(const google::protobuf::Duration& duration) {
  return absl::Seconds(duration.seconds()) + absl::Nanoseconds(duration.nanos());
}

std::string AcceptedLine(const v1::Accepted& accepted) {
  return absl::StrCat("request ", Printable(accepted.request_id()), ": ",
                      Printable(accepted.model()), ", seed ", accepted.seed(), ", ",
                      Images(accepted.images_ahead()), " ahead, about ",
                      Seconds(ToAbsl(accepted.estimated_time())));
}

std::string PreviewState(const v1::Preview& preview, absl::Duration elapsed) {
  std::string state =
      absl::StrFormat("scale %d/%d  %d x %d  %s", preview.scale() + 1, preview.num_scales(),
                      preview.grid(), preview.grid(), Seconds(elapsed));
  if (preview.dropped() > 0) {
    absl::StrAppend(&state, "  (", preview.dropped(),
                    " previews before it left out: read too slowly)");
  }
  return state;
}

std::string ImageState(const v1::Image& image, absl::Duration elapsed) {
  std::string state = absl::StrFormat("done  seed %d  %s", image.seed(), Seconds(elapsed));
  if (const auto& tokens = image.generated_tokens(); !tokens.empty()) {
    absl::StrAppend(&state, "  (", std::count(tokens.begin(), tokens.end(), true), " of ",
                    tokens.size(), " tokens generated)");
  }
  if (image.degraded()) {
    absl::StrAppend(&state, "  (degraded: the deadline left time for ", image.scales_run(),
                    " scales)");
  }
  return state;
}

std::string PreviewLine(const v1::Preview& preview, uint32_t images, absl::Duration elapsed) {
  return absl::StrCat(ImageOf(preview.image_index(), images), PreviewState(preview, elapsed));
}

std::string ImageLine(const v1::Image& image, uint32_t images, absl::Duration elapsed) {
  return absl::StrCat(ImageOf(image.image_index(), images), ImageState(image, elapsed));
}

std::string CompletedLine(const v1::Completed& completed) {
  return absl::StrCat(Images(completed.images()), " in ", Seconds(ToAbsl(completed.total())),
                      ", of which ", Seconds(ToAbsl(completed.queued())), " in the queue");
}

std::string RetryLine(const absl::Status& failure, absl::Duration wait) {
  const std::string message(failure.message());  // Its details stand in further lines.
  return absl::StrCat(absl::StatusCodeToString(failure.code()), ": ",
                      Printable(message.substr(0, message.find('\n'))), "; trying again in ",
                      Seconds(wait));
}

}  // namespace hmar
