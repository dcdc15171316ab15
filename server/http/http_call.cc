#include "server/http/http_call.h"

#include <poll.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <array>
#include <utility>

#include "model/status_macros.h"
#include "server/base/errors.h"

namespace hmar {
namespace {

constexpr absl::Duration kTick = absl::Seconds(1);  // How late a passed deadline may be noticed.

// What one answer holds is checked as for GenerateImages, which makes one answer, too.
absl::StatusOr<ResolvedRequest> ResolveFor(v1::GenerateRequest message, bool gathers,
                                           CallScope* call) {
  if (!gathers) return call->Resolve(message);
  v1::GenerateImagesRequest unary;
  *unary.mutable_request() = std::move(message);
  return call->Resolve(unary);
}

uint64_t TokensOf(const ModelConfig& config) {
  return static_cast<uint64_t>(config.total_tokens());
}

}  // namespace

std::shared_ptr<HttpCall> HttpCall::Open(CallScope scope, int socket, bool gathers,
                                         const std::atomic<bool>* aborting) {
  auto call = std::make_shared<HttpCall>(std::move(scope), socket, gathers, aborting);
  call->account_.Open(call, call->call_.origin().client);
  return call;
}

HttpCall::HttpCall(CallScope scope, int socket, bool gathers, const std::atomic<bool>* aborting)
    : StreamedCall(std::move(scope)),
      socket_(socket),
      gathers_(gathers),
      aborting_(*aborting),
      wake_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}

absl::Status HttpCall::Begin(AnswerContext* answer) {
  if (!wake_.ok()) return ErrorOf(Reason::kOutOfMemory, "the process is out of descriptors");
  HMAR_ASSIGN_OR_RETURN(ResolvedRequest resolved,
                        ResolveFor(std::move(answer->request.message), gathers_, &call_));
  const ModelConfig& config = call_.context().catalog->models()[resolved.job.model].config;
  if (answer->request.transparent_mask) {
    std::get<GenerateMask>(resolved.edit->upload.region).transparent = true;
  }
  answer->class_id = resolved.job.prototype.class_id;
  answer->image_size = config.image_size;
  answer->tokens_of_image = TokensOf(config);
  answer->created = call_.arrived_at();
  return StartGeneration(std::move(resolved), shared_from_this());
}

std::optional<v1::GenerateResponse> HttpCall::Next() {
  account_.EndSend();
  mailbox_.Sent();
  while (true) {
    eventfd_t ignored;
    eventfd_read(wake_.get(), &ignored);  // Before looking: what comes afterwards wakes again.
    if (auto event = mailbox_.Take()) {
      completed_ = event->has_completed();
      if (!gathers_) {
        account_.BeginSend();
        call_.context().deliveries->Relieve();  // What is written of it comes on top.
      }
      return event;
    }
    {
      absl::MutexLock lock(&mutex_);
      if (end_.has_value()) return std::nullopt;
    }
    Wait();
  }
}

void HttpCall::Wait() {
  if (aborting_) return Abandon(ErrorOf(Reason::kDraining, "the server is going down"));
  const absl::Duration left = call_.origin().deadline - call_.context().clock->Now();
  if (left <= absl::ZeroDuration()) return Abandon(call_.WhyCancelled());
  std::array<pollfd, 2> fds = {};
  fds[0].fd = wake_.get();
  fds[0].events = POLLIN;
  fds[1].fd = socket_;
  fds[1].events = POLLRDHUP;
  const absl::Duration most = std::min(kTick, left + absl::Milliseconds(1));
  poll(fds.data(), fds.size(), static_cast<int>(absl::ToInt64Milliseconds(most)));
  if (fds[1].revents != 0) Abandon(call_.WhyCancelled());
}

void HttpCall::Sent(const v1::GenerateResponse& event) {
  if (event.has_image()) ++images_sent_;
  if (event.has_preview()) CountPreviewSent();
}

void HttpCall::SentAll(uint32_t images) { images_sent_ = images; }

void HttpCall::Hold(size_t bytes) {
  account_.Hold(Deliveries::Holding::kRest, bytes);
  call_.context().deliveries->Relieve();
}

void HttpCall::BeginAnswer() {
  {
    absl::MutexLock lock(&mutex_);
    answering_ = true;
  }
  account_.BeginSend();
}

absl::Status HttpCall::status() const {
  absl::MutexLock lock(&mutex_);
  return end_.value_or(absl::OkStatus());
}

bool HttpCall::stopped() const {
  absl::MutexLock lock(&mutex_);
  return stopped_ || aborting_;
}

void HttpCall::Finish(bool delivered) {
  if (!delivered) Abandon(call_.WhyCancelled());
  account_.Close();
  mailbox_.Close();
  const std::shared_ptr<Generation> generation = TakeGeneration();
  // Whatever was not fetched is not wanted.
  if (generation != nullptr && !completed_) generation->Cancel();
  const absl::Status status = this->status();
  const bool told = status.ok() || !gathers_;
  call_.Done(status, generation.get(), told ? images_sent_ : 0);
}

// While it gathers, the call waits for the server and not for its client.
bool HttpCall::Relieve(const std::string& message) {
  bool ended = false;
  bool gathering = false;
  {
    absl::MutexLock lock(&mutex_);
    ended = end_.has_value() || answering_;
    gathering = gathers_ && !answering_;
  }
  if (!ended || mailbox_.held_bytes() > 0) {
    Abandon(ErrorOf(gathering ? Reason::kDeliveryBacklog : Reason::kClientTooSlow, message));
    return true;
  }
  Stop(message);
  return false;
}

void HttpCall::Stop(const std::string& message) {
  const absl::Status status = ErrorOf(Reason::kClientTooSlow, message);
  Abandon(status);
  {
    absl::MutexLock lock(&mutex_);
    stopped_ = true;
  }
  Pump();
}

void HttpCall::End(const absl::Status& status) {
  {
    absl::MutexLock lock(&mutex_);
    if (!end_.has_value()) end_ = status;
  }
  Pump();
}

void HttpCall::Pump() { eventfd_write(wake_.get(), 1); }

}  // namespace hmar
