#include "server/http/image_answers.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "server/http/json_writer.h"
#include "server/wire/api_messages.h"

namespace hmar {
namespace {

std::string Event(absl::string_view type, const std::string& json) {
  return absl::StrCat("event: ", type, "\ndata: ", json, "\n\n");
}

double Seconds(const google::protobuf::Duration& duration) {
  return static_cast<double>(duration.seconds()) + 1e-9 * static_cast<double>(duration.nanos());
}

std::string TokensJson(const v1::Image& image) {
  return absl::StrCat("[",
                      absl::StrJoin(image.tokens(), ",",
                                    [](std::string* out, const v1::ScaleTokens& scale) {
                                      absl::StrAppend(out, "[", absl::StrJoin(scale.tokens(), ","),
                                                      "]");
                                    }),
                      "]");
}

std::string GeneratedJson(const v1::Image& image) {
  return absl::StrCat("[",
                      absl::StrJoin(image.generated_tokens(), ",",
                                    [](std::string* out, bool generated) {
                                      out->append(generated ? "true" : "false");
                                    }),
                      "]");
}

// What was asked for beside the picture.
void WriteExtras(const AnswerContext& context, const v1::Image& image, JsonWriter* json) {
  if (!image.tokens().empty()) json->Raw("tokens", TokensJson(image));
  if (!image.generated_tokens().empty()) json->Raw("generated_tokens", GeneratedJson(image));
  if (context.request.receipt) json->Raw("receipt", ReceiptJson(image.receipt()));
}

// What an item and our own event of an image have in common.
void WriteImage(const AnswerContext& context, const v1::Image& image, JsonWriter* json) {
  json->Base64("b64_json", image.picture().data()).Wide("seed", image.seed());
  if (context.class_id.has_value()) {
    json->Number("class", *context.class_id);
  } else {
    json->Raw("class", "null");
  }
  json->Number("width", image.picture().width())
      .Number("height", image.picture().height())
      .Flag("degraded", image.degraded())
      .Number("scales_run", image.scales_run());
  WriteExtras(context, image, json);
}

std::string SizeText(const AnswerContext& context) {
  return absl::StrCat(context.image_size, "x", context.image_size);
}

std::string UsageJson(uint64_t tokens) {
  return JsonWriter()
      .Number("total_tokens", tokens)
      .Number("input_tokens", 0)
      .Number("output_tokens", tokens)
      .Raw("input_tokens_details", R"({"text_tokens":0,"image_tokens":0})")
      .Take();
}

std::string OpenAiType(const AnswerContext& context, absl::string_view what) {
  return absl::StrCat(context.request.edit ? "image_edit." : "image_generation.", what);
}

JsonWriter OpenAiEvent(const AnswerContext& context, const std::string& type,
                       const v1::Picture& picture) {
  JsonWriter json;
  json.Text("type", type)
      .Base64("b64_json", picture.data())
      .Number("created_at", absl::ToUnixSeconds(context.created))
      .Text("size", SizeText(context))
      .Text("quality", context.request.quality)
      .Text("background", "opaque")
      .Text("output_format", context.request.output_format);
  return json;
}

std::string AcceptedJson(const std::string& type, const v1::Accepted& accepted) {
  return JsonWriter()
      .Text("type", type)
      .Text("request_id", accepted.request_id())
      .Text("model", accepted.model())
      .Wide("seed", accepted.seed())
      .Number("images_ahead", accepted.images_ahead())
      .Number("estimated_time", Seconds(accepted.estimated_time()))
      .Number("estimated_gpu_seconds", accepted.estimated_gpu_seconds())
      .Take();
}

std::string PreviewJson(const AnswerContext& context, const std::string& type,
                        const v1::Preview& preview) {
  return JsonWriter()
      .Text("type", type)
      .Number("image_index", preview.image_index())
      .Number("scale", preview.scale())
      .Number("num_scales", preview.num_scales())
      .Number("grid", preview.grid())
      .Base64("b64_json", preview.picture().data())
      .Text("output_format", context.request.output_format)
      .Number("width", preview.picture().width())
      .Number("height", preview.picture().height())
      .Number("dropped", preview.dropped())
      .Take();
}

}  // namespace

std::string ItemJson(const AnswerContext& context, const v1::Image& image) {
  JsonWriter json;
  WriteImage(context, image, &json);
  return json.Take();
}

std::string AnswerJson(const AnswerContext& context, std::vector<std::string> items) {
  JsonWriter json;
  json.Number("created", absl::ToUnixSeconds(context.created)).Text("background", "opaque");
  json.Text("output_format", context.request.output_format).Text("size", SizeText(context));
  const std::string& quality = context.request.quality;
  // An answer's quality is one of these by OpenAI's schema, or absent.
  if (quality == "low" || quality == "medium" || quality == "high") json.Text("quality", quality);
  json.Raw("usage", UsageJson(context.tokens_of_image * items.size()));
  std::string text = json.Take();
  text.pop_back();
  text += ",\"data\":[";
  for (size_t i = 0; i < items.size(); ++i) {
    if (i > 0) text += ',';
    text += items[i];
    items[i] = {};  // Held once.
  }
  return text + "]}";
}

std::string OpenAiPartial(const AnswerContext& context, const v1::Preview& preview, int partial) {
  const std::string type = OpenAiType(context, "partial_image");
  JsonWriter json = OpenAiEvent(context, type, preview.picture());
  return Event(type, json.Number("partial_image_index", partial).Take());
}

std::string OpenAiCompleted(const AnswerContext& context, const v1::Image& image) {
  const std::string type = OpenAiType(context, "completed");
  JsonWriter json = OpenAiEvent(context, type, image.picture());
  json.Raw("usage", UsageJson(context.tokens_of_image)).Wide("seed", image.seed());
  WriteExtras(context, image, &json);
  return Event(type, json.Take());
}

std::string OwnEvent(const AnswerContext& context, const v1::GenerateResponse& event) {
  if (event.has_accepted()) {
    return Event("hmar.accepted", AcceptedJson("hmar.accepted", event.accepted()));
  }
  if (event.has_preview()) {
    return Event("hmar.preview", PreviewJson(context, "hmar.preview", event.preview()));
  }
  JsonWriter json;
  if (event.has_image()) {
    json.Text("type", "hmar.image").Number("image_index", event.image().image_index());
    json.Text("output_format", context.request.output_format);
    WriteImage(context, event.image(), &json);
    return Event("hmar.image", json.Take());
  }
  json.Text("type", "hmar.completed")
      .Number("images", event.completed().images())
      .Number("queued", Seconds(event.completed().queued()))
      .Number("total", Seconds(event.completed().total()));
  return Event("hmar.completed", json.Take());
}

std::string ErrorEvent(const HttpError& error) {
  return Event("error", JsonWriter().Text("type", "error").Raw("error", error.error_json).Take());
}

std::string DoneEvent() { return "data: [DONE]\n\n"; }

}  // namespace hmar
