#ifndef HMAR_SERVER_HTTP_HTTP_ROUTER_H_
#define HMAR_SERVER_HTTP_HTTP_ROUTER_H_

#include <httplib.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "absl/time/time.h"
#include "server/http/answer_stream.h"
#include "server/http/connection.h"
#include "server/http/http_call.h"
#include "server/http/http_context.h"
#include "server/http/http_error.h"
#include "server/http/receiver.h"
#include "server/http/workers.h"

namespace hmar {

// Answers one request after the other, each to its end, on one worker's thread: cpp-httplib finds
// the handler and writes the answer, of requests that have been received and judged before it sees
// them. Every worker has a router of its own. Thread-compatible.
class HttpRouter final : public Answerer, private httplib::Server {
 public:
  // All outlive it. `receiver` gets the connections back.
  HttpRouter(const HttpOptions& options, const HttpContext* context, absl::Time started,
             const std::function<Receiver*()>& receiver, const DoorState* state);

  void Answer(std::unique_ptr<Connection> connection) override;

 private:
  using Request = httplib::Request;
  using Response = httplib::Response;

  void AddRoutes();
  // False: not all of the answer is written.
  bool Process(bool close);
  // For a request that is refused: answers it, and there is nothing to look for.
  HandlerResponse Precheck(Response* response);
  void AddHeaders(Response* response) const;
  std::string HeadText() const;
  bool WillClose() const;
  // The books of a call, once its form has been read.
  std::shared_ptr<HttpCall> OpenCall(bool edit, const ImageRequest& request);
  void Generate(bool edit, Response* response);
  void Gather(const AnswerContext& answer, Response* response);
  void Stream(const AnswerContext& answer, Response* response);
  void GiveEvents(const AnswerContext& answer, v1::GenerateResponse first, Response* response);
  void Fail(const absl::Status& status, absl::string_view class_field, Response* response);
  void Fail(const HttpError& error, Response* response);
  void ServePage(const Request& request, Response* response);
  void ServeModel(const std::string& name, Response* response);
  const ServiceContext& service() const { return *context_.service; }
  const KeyHolder* key() const { return connection_->ruling.visit.caller.key.get(); }

  const HttpOptions options_;
  const HttpContext& context_;
  const absl::Time started_;
  const std::function<Receiver*()> receiver_;
  const DoorState& state_;

  // Of the request that is being answered.
  std::unique_ptr<Connection> connection_;
  std::unique_ptr<AnswerStream> stream_;
  std::shared_ptr<HttpCall> call_;  // Null: no call.
  std::string request_id_;
};

}  // namespace hmar

#endif  // HMAR_SERVER_HTTP_HTTP_ROUTER_H_
