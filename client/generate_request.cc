#include "client/generate_request.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/files.h"
#include "client/picture_names.h"
#include "client/token_lists.h"
#include "client/tokens_file.h"
#include "model/status_macros.h"

namespace hmar {
namespace {

absl::StatusOr<v1::MaskSchedule> MakeSchedule(const std::string& text) {
  v1::MaskSchedule schedule;
  if (text == "none" || text == "quality") {
    schedule.set_preset(text == "none" ? v1::MaskSchedule::PRESET_NONE
                                       : v1::MaskSchedule::PRESET_QUALITY);
    return schedule;
  }
  const auto json = nlohmann::json::parse(text, /*cb=*/nullptr, /*allow_exceptions=*/false);
  const absl::StatusOr<std::vector<std::vector<uint32_t>>> scales = TokenLists(json);
  if (!scales.ok()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "--schedule: '", text, "' is none of model, none, quality, or JSON such as [[1],[1,3]]: ",
        std::string(scales.status().message())));
  }
  for (const std::vector<uint32_t>& tokens : *scales) {
    schedule.add_scales()->mutable_tokens()->Add(tokens.begin(), tokens.end());
  }
  return schedule;
}

absl::Status SetSampling(const RequestFlags& flags, v1::GenerateRequest& request) {
  v1::SamplingParams& sampling = *request.mutable_sampling();
  if (flags.cfg_scale) sampling.set_cfg_scale(*flags.cfg_scale);
  if (flags.top_k) sampling.set_top_k(*flags.top_k);
  if (flags.top_p) sampling.set_top_p(*flags.top_p);
  if (flags.temperature) sampling.set_temperature(*flags.temperature);
  sampling.set_max_scales(flags.max_scales);
  if (flags.schedule == "model") return absl::OkStatus();
  HMAR_ASSIGN_OR_RETURN(*sampling.mutable_mask_schedule(), MakeSchedule(flags.schedule));
  return absl::OkStatus();
}

v1::Scheduling::OnDeadline OnDeadlineOf(const std::string& flag) {
  if (flag == "refuse") return v1::Scheduling::ON_DEADLINE_FAIL;
  if (flag == "degrade") return v1::Scheduling::ON_DEADLINE_DEGRADE;
  return v1::Scheduling::ON_DEADLINE_UNSPECIFIED;
}

void SetPreviews(const RequestFlags& flags, v1::GenerateRequest& request) {
  if (flags.previews == "none") return;
  v1::PreviewOptions& previews = *request.mutable_previews();
  previews.set_mode(flags.previews == "fast" ? v1::PreviewOptions::MODE_FAST
                                             : v1::PreviewOptions::MODE_FULL);
  previews.mutable_scales()->Add(flags.preview_scales.begin(), flags.preview_scales.end());
}

void SetOutput(const RequestFlags& flags, v1::GenerateRequest& request) {
  v1::OutputOptions& output = *request.mutable_output();
  output.set_format(FormatOf(flags.format));
  if (flags.png_compression) output.set_png_compression(*flags.png_compression);
  output.set_return_tokens(!flags.save_tokens.empty());
  if (flags.quality) output.set_quality(*flags.quality);
  output.set_lossless(flags.lossless);
  output.set_embed_receipt(flags.receipt && flags.format != "rgb");
}

absl::StatusOr<v1::ScalePrefix> ReadPrefix(const RequestFlags& flags, std::string& model) {
  HMAR_ASSIGN_OR_RETURN(const std::string text, ReadFile(flags.from_tokens));
  HMAR_ASSIGN_OR_RETURN(TokensFile file, ParseTokens(text, flags.from_tokens));
  model = std::move(file.model);
  return MakePrefix(file, flags.from_tokens, flags.from_image, flags.scales);
}

// Tokens mean nothing to a model with another tokenizer, so a draft goes back to the model it came
// from. One that shares its tokenizer (another size, say) may be named by --model.
absl::Status SetPrefix(const RequestFlags& flags, v1::GenerateRequest& request) {
  if (flags.from_tokens.empty()) return absl::OkStatus();
  std::string model;
  absl::StatusOr<v1::ScalePrefix> prefix = ReadPrefix(flags, model);
  if (!prefix.ok()) {
    return absl::Status(prefix.status().code(),
                        absl::StrCat("--from-tokens: ", std::string(prefix.status().message())));
  }
  *request.mutable_prefix() = *std::move(prefix);
  if (flags.model.empty()) request.set_model(model);
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<v1::GenerateRequest> MakeGenerateRequest(const RequestFlags& flags) {
  v1::GenerateRequest request;
  request.set_model(flags.model);
  // Numbers, too: the server knows whether the model has a class of that name.
  if (!flags.target.empty()) request.set_class_name(flags.target);
  if (flags.seed) request.set_seed(*flags.seed);
  request.set_num_images(flags.count);
  HMAR_RETURN_IF_ERROR(SetSampling(flags, request));
  SetPreviews(flags, request);
  SetOutput(flags, request);
  HMAR_RETURN_IF_ERROR(SetPrefix(flags, request));
  request.mutable_scheduling()->set_priority(flags.priority);
  request.mutable_scheduling()->set_on_deadline(OnDeadlineOf(flags.on_deadline));
  request.set_request_id(flags.request_id);
  request.set_validate_only(flags.validate_only);
  return request;
}

}  // namespace hmar
