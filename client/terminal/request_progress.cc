#include "client/terminal/request_progress.h"

#include <algorithm>

#include "client/progress.h"

namespace hmar {

void RequestProgress::OnAccepted(const v1::Accepted& accepted) {
  accepted_ = AcceptedLine(accepted);
}

void RequestProgress::OnRetry(const std::string& line) { accepted_ = line; }

void RequestProgress::OnPreview(const v1::Preview& preview, const Picture& pixels,
                                absl::Duration elapsed) {
  ImageProgress& image = progress_[preview.image_index()];
  image.part = (preview.scale() + 1.0) / std::max(preview.num_scales(), 1U);
  image.state = PreviewState(preview, elapsed);
  KeepPicture(preview.image_index(), pixels);
}

void RequestProgress::OnImage(const v1::Image& message, const Picture& pixels,
                              absl::Duration elapsed) {
  ImageProgress& image = progress_[message.image_index()];
  if (!image.done) ++done_;
  image.done = true;
  image.part = 1;
  image.state = ImageState(message, elapsed);
  KeepPicture(message.image_index(), pixels);
  while (first_unfinished_ < images_ && this->image(first_unfinished_).done) ++first_unfinished_;
}

void RequestProgress::OnCompleted(const v1::Completed& completed) {
  completed_ = CompletedLine(completed);
}

const RequestProgress::ImageProgress& RequestProgress::image(uint32_t index) const {
  static const ImageProgress nothing;
  const auto found = progress_.find(index);
  return found == progress_.end() ? nothing : found->second;
}

void RequestProgress::KeepPicture(uint32_t index, const Picture& pixels) {
  if (!keeps_pictures_) return;
  const uint32_t side = kMaxPictureSide;
  const bool large = pixels.width > side || pixels.height > side;
  ImageProgress& image = progress_[index];
  image.picture = std::make_shared<const Picture>(
      large ? ScaledTo(pixels, SizeInside(pixels, {side, side})) : pixels);
  image.version = ++version_;
  with_picture_[index] = &image;
  if (with_picture_.size() > kMaxPictures) {
    with_picture_.begin()->second->picture = nullptr;
    with_picture_.erase(with_picture_.begin());
  }
}

}  // namespace hmar
