#include "server/http/image_request.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/http/field_reader.h"
#include "server/wire/violations.h"

namespace hmar {
namespace {

constexpr int64_t kMaxUint32 = UINT32_MAX;
constexpr int kMaxPartialImages = 3;
constexpr double kMaxTimeoutSeconds = 86'400;

// Reads one form into one request.
class ImageRequestReader {
 public:
  ImageRequestReader(FieldReader* fields, const ModelCatalog& catalog, ImageRequest* request)
      : fields_(*fields), catalog_(catalog), request_(*request), message_(request->message) {}

  void Read() {
    ReadTarget();
    ReadHow();
    ReadQuality();
    ReadSampling();
    ReadPrefix();
    ReadOutput();
    ReadScheduling();
    ReadPreviews();
    if (request_.edit) ReadEdit();
    fields_.Ignore({"user", "safety_identifier", "moderation", "style", "input_fidelity"});
    fields_.RefuseOthers();
  }

 private:
  // The model, which must not be found for the rest to be read.
  const EngineInfo* model() const {
    const std::optional<size_t> index = catalog_.Find(message_.model());
    return index.has_value() ? &catalog_.models()[*index] : nullptr;
  }

  void ReadTarget() {
    message_.set_model(fields_.Text("model").value_or(""));
    const std::optional<std::string> prompt = fields_.Text("prompt");
    std::optional<std::string> name = prompt;
    if (const nlohmann::json* const value = fields_.Raw("class"); value != nullptr) {
      request_.class_field = "class";
      if (value->is_number()) return ReadClassId();
      name = fields_.Text("class");
    }
    // A text of digits may be a class's name: what it means is for the model's names to say.
    if (name.has_value() && !name->empty()) return message_.set_class_name(*name);
    if (request_.edit || request_.class_field == "class") return;
    fields_.Add(Reason::kFieldMissing, "prompt", "missing; the name or the number of a class");
  }

  void ReadClassId() {
    const auto id = fields_.Integer("class", 0, kMaxUint32);
    if (id.has_value()) message_.set_class_id(static_cast<uint32_t>(*id));
  }

  void ReadHow() {
    if (const auto seed = fields_.Unsigned64("seed")) message_.set_seed(*seed);
    if (const auto n = fields_.Integer("n", 1, kMaxUint32)) {
      message_.set_num_images(static_cast<uint32_t>(*n));
    }
    request_.stream = fields_.Flag("stream").value_or(false);
    request_.receipt = fields_.Flag("receipt").value_or(false);
    request_.own_events = fields_.OneOf("events", {"openai", "hmar"}).value_or(0) == 1;
    if (request_.own_events && !request_.stream) {
      fields_.Add(Reason::kFieldConflict, "events", "events need stream=true");
    }
    if (request_.stream && !request_.own_events && message_.num_images() > 1) {
      fields_.Add(Reason::kFieldConflict, "n",
                  absl::StrCat(message_.num_images(),
                               "; events of one image alone can be told "
                               "apart: n=1, or events=hmar"));
    }
    message_.set_request_id(fields_.Text("request_id").value_or(""));
    message_.set_validate_only(fields_.Flag("validate_only").value_or(false));
  }

  void ReadQuality() {
    constexpr std::array kNames = {"auto", "medium", "standard", "low",
                                   "high", "xhigh",  "max",      "hd"};
    const size_t quality = fields_.OneOf("quality", kNames).value_or(0);
    request_.quality = quality == 2 ? "auto" : quality == 7 ? "high" : kNames[quality];
    if (quality == 3) SetPreset(v1::MaskSchedule::PRESET_NONE);
    if (quality > 3) SetPreset(v1::MaskSchedule::PRESET_QUALITY);
    fields_.OneOf("background", {"auto", "opaque"});
    fields_.OneOf("response_format", {"b64_json"});
    const std::string size = fields_.Text("size").value_or("auto");
    const EngineInfo* const info = model();
    if (size == "auto" || info == nullptr) return;
    const std::string own = absl::StrCat(info->config.image_size, "x", info->config.image_size);
    if (size == own) return;
    fields_.Add(Reason::kFieldOutOfRange, "size",
                absl::StrCat(Quoted(size), "; model ", info->config.name, " makes ", own));
  }

  void SetPreset(v1::MaskSchedule::Preset preset) {
    message_.mutable_sampling()->mutable_mask_schedule()->set_preset(preset);
  }

  void ReadSampling() {
    v1::SamplingParams& sampling = *message_.mutable_sampling();
    const auto number = [this](const char* name, const auto& set) {
      const std::optional<double> value = fields_.Number(name);
      if (!value.has_value()) return;
      const bool fits = std::abs(*value) <= std::numeric_limits<float>::max();
      set(fits ? static_cast<float>(*value) : std::numeric_limits<float>::infinity());
    };
    number("cfg_scale", [&](float value) { sampling.set_cfg_scale(value); });
    number("top_p", [&](float value) { sampling.set_top_p(value); });
    number("temperature", [&](float value) { sampling.set_temperature(value); });
    if (const auto top_k = fields_.Integer("top_k", 0, kMaxUint32)) {
      sampling.set_top_k(static_cast<uint32_t>(*top_k));
    }
    if (const auto scales = fields_.Integer("max_scales", 0, kMaxUint32)) {
      sampling.set_max_scales(static_cast<uint32_t>(*scales));
    }
    if (!fields_.Has("mask_schedule")) return;
    sampling.clear_mask_schedule();
    if (fields_.IsList("mask_schedule")) {
      for (const auto& passes : fields_.ListOfLists("mask_schedule").value_or(Lists())) {
        sampling.mutable_mask_schedule()->add_scales()->mutable_tokens()->Assign(passes.begin(),
                                                                                 passes.end());
      }
      return;
    }
    const auto preset = fields_.OneOf("mask_schedule", {"default", "none", "quality"});
    if (preset == 1) SetPreset(v1::MaskSchedule::PRESET_NONE);
    if (preset == 2) SetPreset(v1::MaskSchedule::PRESET_QUALITY);
  }

  void ReadPrefix() {
    const auto scales = fields_.ListOfLists("prefix");
    if (!scales.has_value()) return;
    for (const auto& tokens : *scales) {
      message_.mutable_prefix()->add_tokens()->mutable_tokens()->Assign(tokens.begin(),
                                                                        tokens.end());
    }
  }

  void ReadOutput() {
    constexpr std::array kFormats = {"png", "jpeg", "webp"};
    constexpr std::array kValues = {v1::OutputOptions::FORMAT_PNG, v1::OutputOptions::FORMAT_JPEG,
                                    v1::OutputOptions::FORMAT_WEBP};
    v1::OutputOptions& output = *message_.mutable_output();
    const size_t format = fields_.OneOf("output_format", kFormats).value_or(0);
    request_.output_format = kFormats[format];
    output.set_format(kValues[format]);
    const auto compression = fields_.Integer("output_compression", 0, 100);
    // 0 is the least there is. A PNG loses nothing, whatever is asked for.
    if (compression.has_value() && format != 0) {
      output.set_quality(static_cast<uint32_t>(std::max<int64_t>(1, *compression)));
    }
    output.set_return_tokens(fields_.Flag("return_tokens").value_or(false));
    output.set_embed_receipt(fields_.Flag("embed_receipt").value_or(false));
  }

  void ReadScheduling() {
    v1::Scheduling& scheduling = *message_.mutable_scheduling();
    if (const auto priority = fields_.Integer("priority", INT32_MIN, INT32_MAX)) {
      scheduling.set_priority(static_cast<int32_t>(*priority));
    }
    if (const auto what = fields_.OneOf("on_deadline", {"fail", "degrade"})) {
      scheduling.set_on_deadline(what == 0 ? v1::Scheduling::ON_DEADLINE_FAIL
                                           : v1::Scheduling::ON_DEADLINE_DEGRADE);
    }
    const std::optional<double> timeout = fields_.Number("timeout");
    if (!timeout.has_value()) return;
    if (*timeout > 0 && *timeout <= kMaxTimeoutSeconds) {
      request_.timeout = absl::Seconds(*timeout);
    } else {
      fields_.Add(Reason::kFieldOutOfRange, "timeout",
                  absl::StrCat(*timeout, " s; above 0, at most ", kMaxTimeoutSeconds));
    }
  }

  void ReadPreviews() {
    const auto partial = fields_.Integer("partial_images", 0, kMaxPartialImages).value_or(0);
    const auto mode = fields_.OneOf("previews", {"none", "fast", "full"});
    const auto scales = fields_.List("preview_scales");
    if ((mode.has_value() || scales.has_value()) && !request_.own_events) {
      return fields_.Add(Reason::kFieldConflict, mode.has_value() ? "previews" : "preview_scales",
                         "only with events=hmar; partial_images is for OpenAI's events");
    }
    if (!request_.stream) return;
    v1::PreviewOptions& previews = *message_.mutable_previews();
    if (mode == 1) previews.set_mode(v1::PreviewOptions::MODE_FAST);
    if (mode == 2) previews.set_mode(v1::PreviewOptions::MODE_FULL);
    if (scales.has_value()) previews.mutable_scales()->Assign(scales->begin(), scales->end());
    if (!mode.has_value() && !scales.has_value() && partial > 0) SpreadPreviews(partial);
  }

  // So many, as far apart as they can be, of the scales that will be made but for the last.
  void SpreadPreviews(int64_t count) {
    const EngineInfo* const info = model();
    if (info == nullptr) return;
    const int64_t all = info->config.num_scales();
    const int64_t asked = message_.sampling().max_scales();
    const int64_t end = (asked == 0 ? all : std::min(all, asked)) - 1;
    const int64_t begin = std::min<int64_t>(message_.prefix().tokens_size(), end);
    const int64_t places = end - begin;
    const int64_t most = std::min(count, places);
    if (most <= 0) return;
    v1::PreviewOptions& previews = *message_.mutable_previews();
    previews.set_mode(v1::PreviewOptions::MODE_FULL);
    for (int64_t i = 0; i < most; ++i) {
      previews.add_scales(static_cast<uint32_t>(begin + (2 * i + 1) * places / (2 * most)));
    }
  }

  void ReadEdit() {
    v1::EditOptions& edit = *message_.mutable_edit();
    if (const auto image = fields_.File("image")) edit.set_image(image->data(), image->size());
    const auto composite = fields_.Flag("composite");
    if (composite.has_value()) edit.set_composite(*composite);
    if (const auto feather = fields_.Integer("feather", 0, kMaxUint32)) {
      edit.set_feather(static_cast<uint32_t>(*feather));
    }
    if (const auto resize = fields_.OneOf("resize", {"cover", "contain"})) {
      edit.set_resize(resize == 0 ? v1::EditOptions::RESIZE_COVER
                                  : v1::EditOptions::RESIZE_CONTAIN);
    }
    ReadRegion(&edit);
  }

  void ReadRegion(v1::EditOptions* edit) {
    const auto mask = fields_.File("mask");
    const auto white = fields_.File("mask_white");
    const auto box = fields_.Box("box");
    const auto keep = fields_.Box("keep_box");
    const int given = mask.has_value() + white.has_value() + box.has_value() + keep.has_value();
    if (given > 1) {
      return fields_.Add(Reason::kFieldConflict, "mask",
                         "more than one of mask, mask_white, box and keep_box");
    }
    request_.transparent_mask = mask.has_value();
    if (mask.has_value()) edit->set_mask(mask->data(), mask->size());
    if (white.has_value()) edit->set_mask(white->data(), white->size());
    if (box.has_value()) SetBox(*box, edit->mutable_box());
    if (keep.has_value()) SetBox(*keep, edit->mutable_keep_box());
  }

  static void SetBox(const std::vector<uint32_t>& box, v1::EditOptions::Box* message) {
    message->set_x0(box[0]);
    message->set_y0(box[1]);
    message->set_x1(box[2]);
    message->set_y1(box[3]);
  }

  using Lists = FieldReader::Lists;

  FieldReader& fields_;
  const ModelCatalog& catalog_;
  ImageRequest& request_;
  v1::GenerateRequest& message_;
};

}  // namespace

absl::Status ReadImageRequest(const FormFields& fields, bool edit, const ModelCatalog& catalog,
                              ImageRequest* request) {
  Violations violations("");
  FieldReader reader(&fields, &violations);
  request->edit = edit;
  ImageRequestReader(&reader, catalog, request).Read();
  return violations.ToStatus();
}

}  // namespace hmar
