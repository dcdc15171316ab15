#include "server/http/head_judge.h"

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "server/base/errors.h"
#include "server/http/routes.h"

namespace hmar {
namespace {

constexpr absl::Duration kGuessedBody = absl::Seconds(1);  // How long one is held.
constexpr absl::Duration kRetry = absl::Seconds(1);

// A client has half, or what one request may bring where that is more.
Quota::Limits LimitsOf(const HttpOptions& options) {
  const size_t total = std::max(options.buffer_bytes, options.max_body_bytes);
  return {total, std::max(total / 2, options.max_body_bytes)};
}

CallHeaders HeadersOf(const RequestHead& head, const std::string& address) {
  CallHeaders headers;
  headers.peer = address;
  for (const auto& [name, value] : head.headers) {
    if (name == "authorization") headers.authorization.push_back(value);
  }
  headers.forwarded_for = std::string(head.Header("x-forwarded-for"));
  return headers;
}

}  // namespace

bool OriginAllowed(absl::string_view origin, absl::string_view allowed) {
  return !allowed.empty() && (allowed == "*" || origin == allowed);
}

HeadJudge::HeadJudge(const HttpOptions& options, const HttpContext* context,
                     std::function<bool(const std::string& client)> is_full)
    : options_(options),
      context_(*context),
      is_full_(std::move(is_full)),
      bodies_(LimitsOf(options), context->service->clock, kGuessedBody) {}

// A page of another site can send requests without asking first, as forms do, and could have the
// server of whoever looks at it draw for it.
std::optional<HttpFault> HeadJudge::CheckOrigin(const RequestHead& head) const {
  absl::string_view origin = head.Header("origin");
  if (origin.empty() || OriginAllowed(origin, options_.allow_origin)) return std::nullopt;
  if (!absl::ConsumePrefix(&origin, "https://")) absl::ConsumePrefix(&origin, "http://");
  if (absl::EqualsIgnoreCase(origin, head.Header("host"))) return std::nullopt;
  return HttpFault{403, "pages of other origins may not call; see --http-allow-origin"};
}

Ruling HeadJudge::Rule(const Connection& connection) {
  const RequestHead& head = connection.head;
  Ruling ruling;
  ruling.arrived_at = context_.service->clock->Now();
  ruling.fault = CheckRoute(head, /*preflight=*/!options_.allow_origin.empty());
  if (ruling.fault.has_value()) return ruling;
  const RouteRow& row = *RouteOf(head.path);
  if (!row.api || head.method == "OPTIONS") return ruling;
  if ((ruling.fault = CheckOrigin(head)).has_value()) return ruling;
  ruling.generates = head.method == "POST";
  ruling.visit = context_.service->doorkeeper->Admit(HeadersOf(head, connection.address));
  ruling.status = ruling.visit.status;
  if (ruling.status.ok()) ruling.client = ruling.visit.caller.principal;
  if (ruling.status.ok() && ruling.generates) RuleOnBody(head, row.route, &ruling);
  return ruling;
}

void HeadJudge::RuleOnBody(const RequestHead& head, Route route, Ruling* ruling) {
  if (is_full_(ruling->client)) {
    ruling->status = RetryAfter(
        ErrorOf(Reason::kTooManyCalls, "as many calls wait for a thread of --http-threads as may"),
        kRetry);
    return;
  }
  ruling->max_body_bytes = route == Route::kEdits
                               ? options_.max_body_bytes
                               : std::min(kMaxJsonBytes, options_.max_body_bytes);
  const uint64_t length = head.content_length.value_or(0);
  if (length > ruling->max_body_bytes) {
    ruling->fault = HttpFault{
        413, absl::StrCat("a body of ", length, " bytes; at most ", ruling->max_body_bytes)};
    return;
  }
  ruling->share = BodyShare(&bodies_, ruling->visit.caller.principal);
  if (const auto shortage = ruling->share.CoverExactly(length)) {
    ruling->status =
        RetryAfter(ErrorOf(Reason::kUploadBacklog,
                           absl::StrCat("the body has ", length, " bytes, others hold ",
                                        shortage->held, "; the limit is ", shortage->limit)),
                   shortage->wait);
  }
}

}  // namespace hmar
