#include "client/answer_check.h"

#include <algorithm>
#include <optional>
#include <string>

#include "absl/strings/str_cat.h"
#include "client/picture_header.h"
#include "model/status_macros.h"

namespace hmar {
namespace {

constexpr size_t kMaxRequestIdBytes = 128;  // The API's own limit.
constexpr size_t kMaxModelBytes = 256;

// Every error of this file.
template <typename... Pieces>
absl::Status Wrong(const Pieces&... pieces) {
  return absl::DataLossError(absl::StrCat("the server's answer is none: ", pieces...));
}

absl::Status Within(absl::Status status, const std::string& place) {
  if (status.ok()) return status;
  return absl::Status(status.code(), absl::StrCat(std::string(status.message()), " (", place, ")"));
}

std::string SizeText(uint32_t width, uint32_t height) {
  return absl::StrCat(width, " x ", height, " pixels");
}

v1::OutputOptions::Format FormatOf(const v1::GenerateRequest& request) {
  const v1::OutputOptions::Format format = request.output().format();
  const bool unset = format == v1::OutputOptions::FORMAT_UNSPECIFIED;
  return unset ? v1::OutputOptions::FORMAT_PNG : format;
}

}  // namespace

AnswerCheck::AnswerCheck(const v1::GenerateRequest& request, const AnswerLimits& limits)
    : limits_(limits),
      images_(std::max(request.num_images(), 1U)),
      has_seed_(request.has_seed()),
      wants_previews_(request.previews().mode() != v1::PreviewOptions::MODE_UNSPECIFIED),
      validate_only_(request.validate_only()),
      format_(FormatOf(request)),
      lossless_(request.output().lossless()),
      preview_scales_(request.previews().scales().begin(), request.previews().scales().end()),
      seed_(request.seed()) {}

absl::Status AnswerCheck::Event(const v1::GenerateResponse& event) {
  HMAR_RETURN_IF_ERROR(CheckOrder(event));
  switch (event.event_case()) {
    case v1::GenerateResponse::kAccepted:
      return CheckAccepted(event.accepted());
    case v1::GenerateResponse::kPreview:
      return Within(CheckPreview(event.preview()),
                    absl::StrCat("preview of scale ", event.preview().scale(), " of image ",
                                 event.preview().image_index()));
    case v1::GenerateResponse::kImage:
      return Within(CheckImage(event.image()), absl::StrCat("image ", event.image().image_index()));
    case v1::GenerateResponse::kCompleted:
      return CheckCompleted(event.completed());
    case v1::GenerateResponse::EVENT_NOT_SET:
      break;
  }
  return absl::OkStatus();
}

absl::Status AnswerCheck::End() const {
  if (completed_) return absl::OkStatus();
  return Wrong("it ended without Completed, after ", images_done_, " of ", images_, " images");
}

absl::Status AnswerCheck::CheckOrder(const v1::GenerateResponse& event) {
  if (event.event_case() == v1::GenerateResponse::EVENT_NOT_SET) {
    if (++unknown_events_ <= limits_.unknown_events) return absl::OkStatus();
    return Wrong("more than ", limits_.unknown_events, " events of unknown kinds");
  }
  if (completed_) return Wrong("an event after Completed");
  if (!accepted_ && !event.has_accepted()) return Wrong("an event before Accepted");
  if (accepted_ && event.has_accepted()) return Wrong("Accepted came twice");
  if (validate_only_ && (event.has_preview() || event.has_image())) {
    return Wrong("a picture, where the request asks for a price (validate_only)");
  }
  return absl::OkStatus();
}

absl::Status AnswerCheck::CheckAccepted(const v1::Accepted& accepted) {
  if (accepted.request_id().size() > kMaxRequestIdBytes) {
    return Wrong("a request_id of ", accepted.request_id().size(), " bytes; at most ",
                 kMaxRequestIdBytes);
  }
  if (accepted.model().size() > kMaxModelBytes) {
    return Wrong("a model's name of ", accepted.model().size(), " bytes; at most ", kMaxModelBytes);
  }
  if (has_seed_ && accepted.seed() != seed_) {
    return Wrong("it accepts seed ", accepted.seed(), "; the request's is ", seed_);
  }
  accepted_ = true;
  seed_ = accepted.seed();
  return absl::OkStatus();
}

absl::Status AnswerCheck::CheckIndex(uint32_t index) const {
  if (index >= images_) return Wrong("image ", index, " of ", images_, ", counted from 0");
  const auto state = states_.find(index);
  if (state == states_.end() || !state->second.done) return absl::OkStatus();
  return Wrong("image ", index, " came before");
}

absl::Status AnswerCheck::CheckPreview(const v1::Preview& preview) {
  if (!wants_previews_) return Wrong("a preview that the request does not ask for");
  HMAR_RETURN_IF_ERROR(CheckIndex(preview.image_index()));
  HMAR_RETURN_IF_ERROR(CheckPreviewScale(preview));
  HMAR_RETURN_IF_ERROR(CheckPicture(preview.picture()));
  num_scales_ = preview.num_scales();
  states_[preview.image_index()].next_scale = preview.scale() + 1;
  return absl::OkStatus();
}

absl::Status AnswerCheck::CheckPreviewScale(const v1::Preview& preview) {
  if (preview.num_scales() > limits_.scales) {
    return Wrong("a model of ", preview.num_scales(), " scales; at most ", limits_.scales);
  }
  if (num_scales_ != 0 && preview.num_scales() != num_scales_) {
    return Wrong("a model of ", preview.num_scales(), " scales; there were ", num_scales_);
  }
  if (preview.scale() >= preview.num_scales()) {
    return Wrong("scale ", preview.scale(), " of ", preview.num_scales(), ", counted from 0");
  }
  const bool wanted = preview_scales_.empty() ? preview.scale() + 1 < preview.num_scales()
                                              : preview_scales_.count(preview.scale()) > 0;
  if (!wanted) return Wrong("a preview of scale ", preview.scale(), ", which was not asked for");
  const auto state = states_.find(preview.image_index());
  const uint32_t next = state == states_.end() ? 0 : state->second.next_scale;
  if (preview.scale() >= next) return absl::OkStatus();
  return Wrong("scale ", preview.scale(), " after scale ", next - 1);
}

absl::Status AnswerCheck::CheckImage(const v1::Image& image) {
  HMAR_RETURN_IF_ERROR(CheckIndex(image.image_index()));
  if (image.seed() != seed_ + image.image_index()) {
    return Wrong("seed ", image.seed(), "; ", seed_ + image.image_index(), " was due");
  }
  HMAR_RETURN_IF_ERROR(CheckPicture(image.picture()));
  const Size size{image.picture().width(), image.picture().height()};
  if (image_size_ == Size{}) image_size_ = size;
  if (size != image_size_) {
    return Wrong(SizeText(size.width, size.height), "; an image before has ",
                 SizeText(image_size_.width, image_size_.height));
  }
  HMAR_RETURN_IF_ERROR(CheckContent(image));
  states_[image.image_index()].done = true;
  ++images_done_;
  return absl::OkStatus();
}

absl::Status AnswerCheck::CheckContent(const v1::Image& image) const {
  const auto scales = static_cast<uint32_t>(image.tokens_size());
  if (scales > limits_.scales || image.scales_run() > limits_.scales) {
    return Wrong("tokens of ", scales, " scales, ", image.scales_run(), " run; at most ",
                 limits_.scales);
  }
  uint64_t tokens = 0;
  for (const v1::ScaleTokens& scale : image.tokens()) tokens += scale.tokens_size();
  tokens = std::max<uint64_t>(tokens, image.generated_tokens_size());
  if (tokens > limits_.image_tokens) {
    return Wrong(tokens, " tokens; at most ", limits_.image_tokens);
  }
  if (const size_t bytes = image.receipt().ByteSizeLong(); bytes > limits_.receipt_bytes) {
    return Wrong("a receipt of ", bytes, " bytes; at most ", limits_.receipt_bytes);
  }
  return absl::OkStatus();
}

absl::Status AnswerCheck::CheckCompleted(const v1::Completed& completed) {
  if (!validate_only_ && images_done_ != images_) {
    return Wrong("Completed after ", images_done_, " of ", images_, " images");
  }
  if (!validate_only_ && completed.images() != images_) {
    return Wrong("Completed counts ", completed.images(), " images of ", images_);
  }
  completed_ = true;
  return absl::OkStatus();
}

absl::Status AnswerCheck::CheckPicture(const v1::Picture& picture) const {
  if (picture.format() != format_) {
    return Wrong("a picture of format ", static_cast<int>(picture.format()), "; asked for was ",
                 static_cast<int>(format_));
  }
  const bool lossy = format_ == v1::OutputOptions::FORMAT_JPEG ||
                     (format_ == v1::OutputOptions::FORMAT_WEBP && !lossless_);
  if (picture.lossy() != lossy) {
    return Wrong("a picture that says lossy: ", picture.lossy(), "; asked for was ", lossy);
  }
  const uint32_t side = limits_.picture_side_pixels;
  if (picture.width() == 0 || picture.height() == 0 || picture.width() > side ||
      picture.height() > side) {
    return Wrong("a picture of ", SizeText(picture.width(), picture.height()), "; 1 to ", side,
                 " a side");
  }
  switch (format_) {
    case v1::OutputOptions::FORMAT_PNG:
      return CheckFile(picture, PictureKind::kPng);
    case v1::OutputOptions::FORMAT_JPEG:
      return CheckFile(picture, PictureKind::kJpeg);
    case v1::OutputOptions::FORMAT_WEBP:
      return CheckFile(picture, PictureKind::kWebp);
    default:
      break;
  }
  const uint64_t bytes = uint64_t{3} * picture.width() * picture.height();
  if (picture.data().size() == bytes) return absl::OkStatus();
  return Wrong(picture.data().size(), " bytes for ", SizeText(picture.width(), picture.height()),
               "; ", bytes, " wanted");
}

absl::Status AnswerCheck::CheckFile(const v1::Picture& picture, PictureKind kind) const {
  // What noise takes that does not compress, with alpha; and room for metadata beside the pixels.
  const uint64_t max_bytes =
      uint64_t{picture.height()} * (uint64_t{4} * picture.width() + 1) + 2 * limits_.receipt_bytes;
  if (picture.data().size() > max_bytes) {
    return Wrong("a ", NameOf(kind), " of ", picture.data().size(), " bytes for ",
                 SizeText(picture.width(), picture.height()), "; at most ", max_bytes);
  }
  const std::optional<PictureSize> size = ReadPictureSize(picture.data());
  if (!size || size->kind != kind || size->animated) {
    return Wrong("a picture that is no ", NameOf(kind));
  }
  if (size->width == picture.width() && size->height == picture.height()) return absl::OkStatus();
  return Wrong("a ", NameOf(kind), " of ", SizeText(size->width, size->height), ", declared as ",
               SizeText(picture.width(), picture.height()));
}

}  // namespace hmar
