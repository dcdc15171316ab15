#include "server/http/http_router.h"

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "server/base/exceptions.h"
#include "server/http/head_judge.h"
#include "server/http/models_json.h"
#include "server/http/page_files.h"
#include "server/http/routes.h"
#include "server/wire/validation.h"

namespace hmar {
namespace {

constexpr char kJson[] = "application/json";
constexpr int kMaxRequestsOfConnection = 1000;
constexpr char kPolicy[] =
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
constexpr char kPreflightHeaders[] = "authorization, content-type";
constexpr char kReadableHeaders[] = "x-request-id, retry-after, x-should-retry";

const char* MediaType(absl::string_view name) {
  if (absl::EndsWith(name, ".html")) return "text/html; charset=utf-8";
  return absl::EndsWith(name, ".js") ? "text/javascript; charset=utf-8" : "text/css; charset=utf-8";
}

}  // namespace

HttpRouter::HttpRouter(const HttpOptions& options, const HttpContext* context, absl::Time started,
                       const std::function<Receiver*()>& receiver, const DoorState* state)
    : options_(options),
      context_(*context),
      started_(started),
      receiver_(receiver),
      state_(*state) {
  svr_sock_ = 0;  // Else cpp-httplib takes itself for shut down, and ends streams.
  set_keep_alive_max_count(kMaxRequestsOfConnection);
  set_keep_alive_timeout(absl::ToInt64Seconds(options.idle));
  AddRoutes();
}

void HttpRouter::AddRoutes() {
  set_pre_routing_handler([this](const Request&, Response& response) {
    AddHeaders(&response);
    return Precheck(&response);
  });
  set_exception_handler([this](const Request&, Response& response, std::exception_ptr thrown) {
    absl::Status status;
    try {
      std::rethrow_exception(std::move(thrown));
    } catch (...) {
      status = StatusOfException("the request");
    }
    response.content_length_ = 0;
    Fail(status, "prompt", &response);
  });
  for (const bool edit : {false, true}) {
    Post(edit ? "/v1/images/edits" : "/v1/images/generations",
         [this, edit](const Request&, Response& response, const httplib::ContentReader&) {
           Generate(edit, &response);
         });
  }
  Get("/v1/models", [this](const Request&, Response& response) {
    response.set_content(
        ModelsJson(*service().catalog, key(), service().limits.max_images, started_), kJson);
  });
  Get("/v1/models/([A-Za-z0-9._-]+)", [this](const Request& request, Response& response) {
    ServeModel(request.matches[1], &response);
  });
  Get("/healthz", [](const Request&, Response& response) {
    response.set_content("{\"status\":\"ok\"}", kJson);
  });
  Get("/readyz", [this](const Request&, Response& response) {
    const bool ready = context_.ready();
    response.status = ready ? 200 : 503;
    response.set_content(ready ? "{\"status\":\"ready\"}" : "{\"status\":\"not ready\"}", kJson);
  });
  Get("/[a-z_.]*",
      [this](const Request& request, Response& response) { ServePage(request, &response); });
}

void HttpRouter::Answer(std::unique_ptr<Connection> connection) {
  connection_ = std::move(connection);
  request_id_ = RequestIdOf(v1::GenerateRequest(), service().random);
  stream_ = std::make_unique<AnswerStream>(connection_->channel.get(), HeadText(), options_.send,
                                           context_.steady_clock);
  stream_->EndWith(-1, [this] { return state_.aborting.load(); });
  const bool close = WillClose();
  const bool written = Process(close);
  const bool delivered = written && !stream_->failed();
  if (call_ != nullptr && stream_->timed_out()) {
    call_->Stop(absl::StrCat("the client has not taken a message within ",
                             absl::FormatDuration(options_.send)));
  }
  if (call_ != nullptr) call_->Finish(delivered);
  call_.reset();
  stream_.reset();
  connection_->body = BodyReader();
  connection_->ruling = Ruling();
  if (delivered && close) receiver_()->Linger(std::move(connection_));
  if (delivered && !close) receiver_()->Return(std::move(connection_));
  connection_.reset();
}

// Handlers' exceptions are cpp-httplib's to catch; those of a stream on its way, as where there is
// no memory, end the connection.
bool HttpRouter::Process(bool close) {
  bool closed = false;
  try {
    return process_request(*stream_, close, closed, [this](Request& request) {
      request.headers.clear();  // What handlers look at has been read strictly.
      if (!connection_->head.keep_alive) request.set_header("Connection", "close");
    });
  } catch (...) {
    if (call_ != nullptr) call_->Refuse(StatusOfException("the answer"));
    return false;
  }
}

// What comes after a body that was not read, or after one in chunks, which proxies might count
// otherwise, is not taken for a request.
bool HttpRouter::WillClose() const {
  const RequestHead& head = connection_->head;
  return connection_->ruling.fault.has_value() || connection_->body_unread || !head.keep_alive ||
         head.chunked || connection_->requests >= kMaxRequestsOfConnection || state_.closing;
}

std::string HttpRouter::HeadText() const {
  const RequestHead& head = connection_->head;
  const bool refused = connection_->ruling.refused();
  return absl::StrCat(refused ? "GET" : head.method, " ", refused ? "/" : head.path,
                      head.http_1_0 ? " HTTP/1.0" : " HTTP/1.1", "\r\n\r\n");
}

httplib::Server::HandlerResponse HttpRouter::Precheck(Response* response) {
  Ruling& ruling = connection_->ruling;
  if (connection_->head.method == "OPTIONS" && !ruling.refused()) {
    response->status = 204;
    response->set_header("access-control-allow-methods", RouteOf(connection_->head.path)->methods);
    response->set_header("access-control-allow-headers", kPreflightHeaders);
    response->set_header("access-control-max-age", "600");
    return HandlerResponse::Handled;
  }
  if (!ruling.refused()) return HandlerResponse::Unhandled;
  const bool edit = connection_->head.path == "/v1/images/edits";
  if (ruling.fault.has_value()) {
    const HttpError error = ErrorOfFault(*ruling.fault, request_id_);
    if (ruling.generates) OpenCall(edit, {})->Refuse(StatusOf(*ruling.fault));
    if (error.status == 405) {
      response->set_header("allow", RouteOf(connection_->head.path)->methods);
    }
    Fail(error, response);
    return HandlerResponse::Handled;
  }
  const absl::Status status = ruling.status;
  if (ruling.generates) OpenCall(edit, {})->Refuse(status);
  Fail(status, "prompt", response);
  return HandlerResponse::Handled;
}

void HttpRouter::AddHeaders(Response* response) const {
  response->set_header("x-request-id", request_id_);
  response->set_header("x-content-type-options", "nosniff");
  response->set_header("x-frame-options", "DENY");
  response->set_header("referrer-policy", "no-referrer");
  response->set_header("content-security-policy", kPolicy);
  response->set_header("cache-control", "no-store");
  const absl::string_view origin = connection_->head.Header("origin");
  if (options_.allow_origin.empty()) {
    response->set_header("cross-origin-resource-policy", "same-origin");
    return;
  }
  response->set_header("vary", "origin");
  response->set_header("cross-origin-resource-policy", "cross-origin");
  if (origin.empty() || !OriginAllowed(origin, options_.allow_origin)) return;
  response->set_header("access-control-allow-origin", options_.allow_origin);
  response->set_header("access-control-expose-headers", kReadableHeaders);
}

void HttpRouter::Fail(const absl::Status& status, absl::string_view class_field,
                      Response* response) {
  Fail(ErrorOfStatus(status, request_id_, class_field), response);
}

void HttpRouter::Fail(const HttpError& error, Response* response) {
  response->status = error.status;
  if (error.status == 401) response->set_header("www-authenticate", "Bearer");
  if (error.retry_after.has_value()) {
    response->set_header("retry-after", absl::StrCat(RetrySeconds(*error.retry_after)));
  } else {
    response->set_header("x-should-retry", "false");
  }
  response->set_content(absl::StrCat("{\"error\":", error.error_json, "}"), kJson);
}

void HttpRouter::ServeModel(const std::string& name, Response* response) {
  const ModelCatalog& catalog = *service().catalog;
  const absl::StatusOr<size_t> index = AllowedModel(catalog, key(), name);
  if (!index.ok()) return Fail(index.status(), "prompt", response);
  response->set_content(ModelJson(catalog, *index, service().limits.max_images, started_), kJson);
}

void HttpRouter::ServePage(const Request& request, Response* response) {
  const PageFile& file = *PageFileAt(request.path);
  const std::string tag = absl::StrCat("\"", file.digest, "\"");
  response->headers.erase("cache-control");
  response->set_header("cache-control", "no-cache");  // Kept, and asked after.
  response->set_header("etag", tag);
  if (absl::StrContains(connection_->head.Header("if-none-match"), tag)) {
    response->status = 304;
    return;
  }
  response->set_content(file.bytes.data(), file.bytes.size(), MediaType(file.name));
}

}  // namespace hmar
