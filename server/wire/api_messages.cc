#include "server/wire/api_messages.h"

#include <google/protobuf/util/json_util.h>

#include <algorithm>
#include <variant>

#include "server/base/version.h"

namespace hmar {
namespace {

v1::ScaleCost ToProto(const ScaleCost& cost) {
  v1::ScaleCost message;
  message.set_scale(cost.scale);
  message.set_passes(cost.passes);
  message.set_device_seconds(static_cast<float>(cost.device_seconds));
  message.set_max_batch_images(cost.max_batch_images);
  return message;
}

v1::EditOptions::Resize ToProto(ResizeMode resize) {
  switch (resize) {
    case ResizeMode::kCover:
      return v1::EditOptions::RESIZE_COVER;
    case ResizeMode::kContain:
      return v1::EditOptions::RESIZE_CONTAIN;
    case ResizeMode::kNone:
      break;
  }
  return v1::EditOptions::RESIZE_UNSPECIFIED;
}

v1::OutputOptions::Format ToProto(PictureFormat format) {
  switch (format) {
    case PictureFormat::kRgb8:
      return v1::OutputOptions::FORMAT_RGB8;
    case PictureFormat::kJpeg:
      return v1::OutputOptions::FORMAT_JPEG;
    case PictureFormat::kWebp:
      return v1::OutputOptions::FORMAT_WEBP;
    case PictureFormat::kPng:
      break;
  }
  return v1::OutputOptions::FORMAT_PNG;
}

void SetBox(const PixelBox& box, v1::EditOptions::Box* message) {
  message->set_x0(box.x0);
  message->set_y0(box.y0);
  message->set_x1(box.x1);
  message->set_y1(box.y1);
}

// All of an edit but its files.
v1::EditOptions EditMessage(const EditChoice& choice, const UploadRecord& upload) {
  v1::EditOptions message;
  if (const auto* inside = std::get_if<GenerateBox>(&upload.region)) {
    SetBox(inside->box, message.mutable_box());
  } else if (const auto* outside = std::get_if<KeepBox>(&upload.region)) {
    SetBox(outside->box, message.mutable_keep_box());
  } else if (std::holds_alternative<GenerateMask>(upload.region)) {
    message.mutable_mask();
  }
  message.set_resize(ToProto(upload.resize));
  message.set_composite(choice.composite);
  message.set_feather(choice.feather);
  return message;
}

v1::OutputOptions OutputMessage(const OutputChoice& output) {
  v1::OutputOptions message;
  message.set_format(ToProto(output.format));
  if (output.format == PictureFormat::kPng) {
    message.set_png_compression(static_cast<uint32_t>(output.png_compression));
  }
  if (output.lossy()) message.set_quality(static_cast<uint32_t>(output.quality));
  message.set_lossless(output.lossless);
  message.set_return_tokens(output.return_tokens);
  message.set_receipt_in_png(output.receipt_in_png);
  message.set_embed_receipt(output.embed_receipt);
  return message;
}

}  // namespace

google::protobuf::Duration ToProto(absl::Duration duration) {
  google::protobuf::Duration message;
  message.set_seconds(absl::IDivDuration(duration, absl::Seconds(1), &duration));
  message.set_nanos(static_cast<int32_t>(absl::ToInt64Nanoseconds(duration)));
  return message;
}

google::protobuf::Timestamp ToProto(absl::Time time) {
  const google::protobuf::Duration since_epoch = ToProto(time - absl::UnixEpoch());
  google::protobuf::Timestamp message;
  message.set_seconds(since_epoch.seconds());
  message.set_nanos(since_epoch.nanos());
  return message;
}

v1::SamplingParams ToProto(const SamplingParams& sampling) {
  v1::SamplingParams message;
  message.set_max_scales(sampling.max_scales);
  message.set_cfg_scale(sampling.cfg_scale);
  message.set_top_k(sampling.top_k);
  message.set_top_p(sampling.top_p);
  message.set_temperature(sampling.temperature);
  for (const std::vector<uint32_t>& scale : sampling.mask_schedule) {
    message.mutable_mask_schedule()->add_scales()->mutable_tokens()->Assign(scale.begin(),
                                                                            scale.end());
  }
  return message;
}

v1::Model ToProto(const EngineInfo& model, absl::Span<const std::string> devices, bool is_default) {
  const ModelConfig& config = model.config;
  v1::Model message;
  message.set_name(config.name);
  message.set_architecture(config.architecture);
  message.set_digest(model.digest);
  message.set_image_size(config.image_size);
  for (size_t id = 0; id < config.classes.size(); ++id) {
    message.add_classes(config.classes[id]);
    v1::ClassInfo& info = *message.add_class_infos();
    info.set_name(config.classes[id]);
    if (id >= config.class_aliases.size()) continue;
    const std::vector<std::string>& aliases = config.class_aliases[id];
    info.mutable_aliases()->Assign(aliases.begin(), aliases.end());
  }
  message.mutable_patch_nums()->Assign(config.patch_nums.begin(), config.patch_nums.end());
  *message.mutable_sampling() = ToProto(config.sampling);
  message.set_is_default(is_default);
  message.mutable_devices()->Assign(devices.begin(), devices.end());
  message.set_precision(model.precision);
  message.set_parameters(model.parameters);
  return message;
}

v1::Accepted AcceptedMessage(const ResolvedRequest& request, const EngineInfo& model,
                             const Admission& admission) {
  v1::Accepted message;
  message.set_request_id(request.id);
  message.set_model(model.config.name);
  message.set_seed(request.job.prototype.seed);
  message.set_images_ahead(admission.images_ahead);
  *message.mutable_estimated_time() = ToProto(admission.estimated_time);
  message.set_estimated_gpu_seconds(static_cast<float>(admission.estimated_device_seconds));
  return message;
}

v1::GenerateRequest RequestForAgain(const ResolvedRequest& request, const EngineInfo& model,
                                    uint32_t index, const SamplingParams& sampling,
                                    const UploadRecord* upload) {
  const ImageTask& task = request.job.prototype;
  v1::GenerateRequest message;
  message.set_model(model.config.name);
  if (task.class_id.has_value()) message.set_class_id(*task.class_id);
  message.set_seed(task.seed + index);
  message.set_num_images(1);
  *message.mutable_sampling() = ToProto(sampling);
  *message.mutable_output() = OutputMessage(request.output);
  if (request.edit.has_value()) *message.mutable_edit() = EditMessage(*request.edit, *upload);
  for (const TokenMap& map : task.prefix) {
    message.mutable_prefix()->add_tokens()->mutable_tokens()->Assign(map.begin(), map.end());
  }
  return message;
}

v1::Receipt ReceiptMessage(const ResolvedRequest& request, const EngineInfo& model, uint32_t index,
                           const UploadRecord* upload, const FinishedImage& image,
                           absl::Time finished_at) {
  v1::Receipt message;
  message.set_request_id(request.id);
  message.set_model(model.config.name);
  message.set_model_digest(model.digest);
  message.set_server_version(ServerVersion());
  message.set_seed(request.job.prototype.seed + index);
  const SamplingParams& sampling =
      image.degraded ? *image.degraded : request.job.prototype.sampling;
  *message.mutable_sampling() = ToProto(sampling);
  message.set_degraded(image.degraded.has_value());
  *message.mutable_finished_at() = ToProto(finished_at);
  *message.mutable_queued() = ToProto(image.queued);
  *message.mutable_ran() = ToProto(image.ran);
  for (const ScaleCost& cost : image.scales) *message.add_scales() = ToProto(cost);
  *message.mutable_request() = RequestForAgain(request, model, index, sampling, upload);
  message.set_precision(model.precision);
  if (upload != nullptr) {
    message.set_edit_image_sha256(upload->image_sha256);
    message.set_edit_mask_sha256(upload->mask_sha256);
  }
  return message;
}

size_t MaxReceiptBytes(const ModelConfig& config, const ResolvedRequest& request) {
  constexpr size_t kFixedBytes = 8192;  // Names, ids of escaped characters, times, digests.
  constexpr size_t kScaleBytes = 128;   // A ScaleCost, and the brackets of three lists.
  constexpr size_t kNumberBytes = 12;   // Ten digits, a comma, and one to spare.
  size_t numbers = 0;
  for (const TokenMap& map : request.job.prototype.prefix) numbers += map.size();
  for (const auto& passes : request.job.prototype.sampling.mask_schedule) {
    numbers += 2 * passes.size();  // In `sampling` and in `request`.
  }
  return kFixedBytes + kScaleBytes * config.patch_nums.size() + kNumberBytes * numbers;
}

std::string ReceiptJson(const v1::Receipt& receipt) {
  google::protobuf::util::JsonPrintOptions options;
  options.preserve_proto_field_names = true;
  std::string json;
  // Fails only for Any and out-of-range times, neither of which a receipt has.
  if (!google::protobuf::util::MessageToJsonString(receipt, &json, options).ok()) return "{}";
  return json;
}

v1::Image ImageMessage(const ResolvedRequest& request, uint32_t index, const FinishedImage& image) {
  v1::Image message;
  message.set_image_index(index);
  message.set_seed(request.job.prototype.seed + index);
  *message.mutable_picture() = PictureMessage(image.picture, request.output);
  if (request.output.return_tokens) {
    for (const TokenMap& map : image.tokens) {
      message.add_tokens()->mutable_tokens()->Assign(map.begin(), map.end());
    }
  }
  message.set_degraded(image.degraded.has_value());
  message.set_scales_run(static_cast<uint32_t>(image.scales.size()));
  return message;
}

void SetGeneratedTokens(const KeepMap& keep, v1::Image* image) {
  for (const uint8_t kept : keep) image->add_generated_tokens(kept == 0);
}

v1::Preview PreviewMessage(const ModelConfig& config, uint32_t index, uint32_t scale) {
  v1::Preview message;
  message.set_image_index(index);
  message.set_scale(scale);
  message.set_num_scales(static_cast<uint32_t>(config.num_scales()));
  message.set_grid(static_cast<uint32_t>(config.patch_nums[scale]));
  return message;
}

v1::Picture PictureMessage(const Picture& picture, const OutputChoice& output) {
  v1::Picture message;
  message.set_format(ToProto(output.format));
  message.set_lossy(output.lossy());
  message.set_width(picture.width);
  message.set_height(picture.height);
  return message;
}

}  // namespace hmar
