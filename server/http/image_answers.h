#ifndef HMAR_SERVER_HTTP_IMAGE_ANSWERS_H_
#define HMAR_SERVER_HTTP_IMAGE_ANSWERS_H_

// What a generation's events become over HTTP: items of an answer, OpenAI's events, our own. Pure.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "hmar/v1/image_generation.pb.h"
#include "server/http/http_error.h"
#include "server/http/image_request.h"
#include "server/wire/request.h"

namespace hmar {

// What an answer says of its request.
struct AnswerContext {
  ImageRequest request;  // Less its message.
  std::optional<uint32_t> class_id;
  int image_size = 0;
  uint64_t tokens_of_image = 0;  // At all scales: what OpenAI's `usage` counts.
  absl::Time created;
};

// An item of `data`.
std::string ItemJson(const AnswerContext& context, const v1::Image& image);

// {"created": ..., "data": [...]} of such items, which are moved from.
std::string AnswerJson(const AnswerContext& context, std::vector<std::string> items);

// Server-sent events, each with its empty line. `partial` counts the previews before, from 0.
std::string OpenAiPartial(const AnswerContext& context, const v1::Preview& preview, int partial);
std::string OpenAiCompleted(const AnswerContext& context, const v1::Image& image);
// Of ours: accepted, preview, image, completed.
std::string OwnEvent(const AnswerContext& context, const v1::GenerateResponse& event);
std::string ErrorEvent(const HttpError& error);
// What OpenAI's streams end with.
std::string DoneEvent();

}  // namespace hmar

#endif  // HMAR_SERVER_HTTP_IMAGE_ANSWERS_H_
