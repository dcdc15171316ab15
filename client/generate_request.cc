#include "client/generate_request.h"

#include <nlohmann/json.hpp>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "client/png_file.h"
#include "client/tokens_file.h"
#include "model/status_macros.h"

namespace hmar {
namespace {

// A number is an id, anything else a name, nothing no class.
void SetTarget(const std::string& target, v1::GenerateRequest& request) {
  uint32_t id = 0;
  if (target.empty()) return;
  if (absl::SimpleAtoi(target, &id)) {
    request.set_class_id(id);
  } else {
    request.set_class_name(target);
  }
}

absl::StatusOr<v1::MaskSchedule> MakeSchedule(const std::string& text) {
  v1::MaskSchedule schedule;
  if (text == "none" || text == "quality") {
    schedule.set_preset(text == "none" ? v1::MaskSchedule::PRESET_NONE
                                       : v1::MaskSchedule::PRESET_QUALITY);
    return schedule;
  }
  try {
    const auto scales = nlohmann::json::parse(text).get<std::vector<std::vector<uint32_t>>>();
    for (const std::vector<uint32_t>& tokens : scales) {
      schedule.add_scales()->mutable_tokens()->Add(tokens.begin(), tokens.end());
    }
    return schedule;
  } catch (const nlohmann::json::exception&) {
    return absl::InvalidArgumentError(absl::StrCat(
        "--schedule: '", text, "' is none of model, none, quality, or JSON such as [[1],[1,3]]"));
  }
}

absl::Status SetSampling(const GenerateCommand& command, v1::GenerateRequest& request) {
  v1::SamplingParams& sampling = *request.mutable_sampling();
  if (command.cfg_scale) sampling.set_cfg_scale(*command.cfg_scale);
  if (command.top_k) sampling.set_top_k(*command.top_k);
  if (command.top_p) sampling.set_top_p(*command.top_p);
  if (command.temperature) sampling.set_temperature(*command.temperature);
  if (command.schedule == "model") return absl::OkStatus();
  HMAR_ASSIGN_OR_RETURN(*sampling.mutable_mask_schedule(), MakeSchedule(command.schedule));
  return absl::OkStatus();
}

void SetPreviews(const GenerateCommand& command, v1::GenerateRequest& request) {
  if (command.previews == "none") return;
  v1::PreviewOptions& previews = *request.mutable_previews();
  previews.set_mode(command.previews == "fast" ? v1::PreviewOptions::MODE_FAST
                                               : v1::PreviewOptions::MODE_FULL);
  previews.mutable_scales()->Add(command.preview_scales.begin(), command.preview_scales.end());
}

void SetOutput(const GenerateCommand& command, v1::GenerateRequest& request) {
  v1::OutputOptions& output = *request.mutable_output();
  output.set_format(command.format == "rgb" ? v1::OutputOptions::FORMAT_RGB8
                                            : v1::OutputOptions::FORMAT_PNG);
  if (command.png_compression) output.set_png_compression(*command.png_compression);
  output.set_return_tokens(!command.save_tokens.empty());
  output.set_receipt_in_png(command.receipt && command.format == "png");
}

absl::Status SetPrefix(const GenerateCommand& command, v1::GenerateRequest& request) {
  if (command.from_tokens.empty()) return absl::OkStatus();
  HMAR_ASSIGN_OR_RETURN(const std::string text, ReadFile(command.from_tokens));
  HMAR_ASSIGN_OR_RETURN(const TokensFile file, ParseTokens(text, command.from_tokens));
  HMAR_ASSIGN_OR_RETURN(*request.mutable_prefix(),
                        MakePrefix(file, command.from_image, command.scales));
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<v1::GenerateRequest> MakeGenerateRequest(const GenerateCommand& command) {
  v1::GenerateRequest request;
  request.set_model(command.model);
  SetTarget(command.target, request);
  if (command.seed) request.set_seed(*command.seed);
  request.set_num_images(command.count);
  HMAR_RETURN_IF_ERROR(SetSampling(command, request));
  SetPreviews(command, request);
  SetOutput(command, request);
  HMAR_RETURN_IF_ERROR(SetPrefix(command, request));
  request.mutable_scheduling()->set_priority(command.priority);
  request.set_request_id(command.request_id);
  request.set_validate_only(command.validate_only);
  return request;
}

}  // namespace hmar
