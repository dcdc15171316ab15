// How a router answers requests for images.

#include <algorithm>
#include <utility>
#include <vector>

#include "server/http/form_fields.h"
#include "server/http/http_router.h"
#include "server/wire/validation.h"

namespace hmar {
namespace {

constexpr char kJson[] = "application/json";

// A header's value has no room for more.
std::string Printable(std::string text) {
  std::replace_if(
      text.begin(), text.end(), [](char c) { return c < ' ' || c > '~'; }, '?');
  return text;
}

const char* NameOf(bool edit) { return edit ? "http edits" : "http generations"; }

}  // namespace

std::shared_ptr<HttpCall> HttpRouter::OpenCall(bool edit, const ImageRequest& request) {
  Visit visit = std::move(connection_->ruling.visit);
  visit.caller.deadline = connection_->ruling.arrived_at + request.timeout;
  request_id_ = RequestIdOf(request.message, service().random);
  call_ = HttpCall::Open(
      CallScope(&service(), context_.active_calls, std::move(visit), NameOf(edit), request_id_),
      connection_->channel->fd(), /*gathers=*/!request.stream, &state_.aborting);
  stream_->EndWith(call_->wake_fd(), [call = call_.get()] { return call->stopped(); });
  return call_;
}

void HttpRouter::Generate(bool edit, Response* response) {
  AnswerContext answer;
  ImageRequest& request = answer.request;
  FormFields fields;
  const std::string& body = connection_->body.body();
  const absl::string_view type = connection_->head.Header("content-type");
  const auto fault =
      edit ? ReadMultipartForm(body, type, &fields) : ReadJsonForm(body, type, &fields);
  absl::Status status;
  if (!fault.has_value()) status = ReadImageRequest(fields, edit, *service().catalog, &request);
  fields = {};
  OpenCall(edit, request);
  response->headers.erase("x-request-id");
  response->set_header("x-request-id", Printable(request_id_));
  connection_->body = BodyReader();  // The request has a copy of what matters.
  connection_->ruling.share = BodyShare();
  if (fault.has_value()) {
    call_->Refuse(StatusOf(*fault));
    return Fail(ErrorOfFault(*fault, request_id_), response);
  }
  if (status.ok()) status = call_->Begin(&answer);
  if (!status.ok()) {
    call_->Refuse(status);
    return Fail(status, request.class_field, response);
  }
  request.stream ? Stream(answer, response) : Gather(answer, response);
}

void HttpRouter::Gather(const AnswerContext& answer, Response* response) {
  std::vector<std::pair<uint32_t, std::string>> items;
  while (auto event = call_->Next()) {
    if (event->has_completed()) {
      std::sort(items.begin(), items.end());
      std::vector<std::string> sorted;
      sorted.reserve(items.size());
      for (auto& [index, item] : items) sorted.push_back(std::move(item));
      call_->SentAll(static_cast<uint32_t>(sorted.size()));
      call_->BeginAnswer();
      return response->set_content(AnswerJson(answer, std::move(sorted)), kJson);
    }
    if (!event->has_image()) continue;
    items.emplace_back(event->image().image_index(), ItemJson(answer, event->image()));
    call_->Hold(items.back().second.size());
  }
  Fail(call_->status(), answer.request.class_field, response);
}

// An answer has begun once its status is sent; until the request is accepted that may be an
// error's.
void HttpRouter::Stream(const AnswerContext& answer, Response* response) {
  std::optional<v1::GenerateResponse> first = call_->Next();
  if (!first.has_value()) return Fail(call_->status(), answer.request.class_field, response);
  GiveEvents(answer, *std::move(first), response);
}

void HttpRouter::GiveEvents(const AnswerContext& answer, v1::GenerateResponse first,
                            Response* response) {
  struct State {
    AnswerContext answer;
    std::optional<v1::GenerateResponse> next;
    int partial = 0;
  };
  auto state = std::make_shared<State>(State{answer, std::move(first)});
  const auto text_of = [state](const v1::GenerateResponse& event) -> std::string {
    const AnswerContext& context = state->answer;
    if (context.request.own_events) return OwnEvent(context, event);
    if (event.has_preview()) return OpenAiPartial(context, event.preview(), state->partial++);
    if (event.has_image()) return OpenAiCompleted(context, event.image());
    return event.has_completed() ? DoneEvent() : "";
  };
  const auto give = [this, state, text_of](size_t, httplib::DataSink& sink) {
    if (!state->next.has_value()) state->next = call_->Next();
    if (!state->next.has_value()) {
      const HttpError error =
          ErrorOfStatus(call_->status(), request_id_, state->answer.request.class_field);
      const std::string text = ErrorEvent(error);
      if (!sink.write(text.data(), text.size())) return false;
      sink.done();
      return true;
    }
    const v1::GenerateResponse event = *std::exchange(state->next, std::nullopt);
    const std::string text = text_of(event);
    if (!text.empty() && (!sink.write(text.data(), text.size()) || stream_->failed())) return false;
    call_->Sent(event);
    if (event.has_completed()) sink.done();
    return true;
  };
  constexpr char kEvents[] = "text/event-stream";
  if (connection_->head.http_1_0) {
    response->set_content_provider(kEvents, give);
  } else {
    response->set_chunked_content_provider(kEvents, give);
  }
}

}  // namespace hmar
