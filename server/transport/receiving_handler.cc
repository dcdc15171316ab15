#include "server/transport/receiving_handler.h"

#include <grpc/byte_buffer.h>
#include <grpc/grpc.h>
#include <grpcpp/alarm.h>
#include <grpcpp/server_context.h>

#include <atomic>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"

namespace hmar {

// One request on its way in. It owns itself until gRPC says that the request has come, or never
// will; the alarm only borrows it.
class ReceivingHandler::Arrival : public grpc_completion_queue_functor,
                                  public std::enable_shared_from_this<Arrival> {
 public:
  Arrival(ReceivingHandler* handler, const HandlerParameter& call)
      : grpc_completion_queue_functor(),
        handler_(handler),
        call_(call),
        start_(absl::Now()),
        peer_(call.server_context->peer()),
        has_place_(handler->Begin(peer_)) {
    functor_run = &Arrived;
    grpc_call_ref(call_.call->call());  // Not to be gone when the alarm rings.
  }
  Arrival(const Arrival&) = delete;
  ~Arrival() { grpc_call_unref(call_.call->call()); }

  void Start() {
    const std::shared_ptr<Arrival> self = self_ = shared_from_this();
    if (!has_place_) {
      decided_ = true;
      Receive();
      return Refuse();
    }
    if (handler_->door_.admit) entry_ = handler_->door_.admit(*call_.server_context);
    if (!entry_.status.ok()) return End(/*arrived=*/false);
    alarm_.Set(absl::ToChronoTime(start_ + handler_->limits_.time),
               [arrival = weak_from_this()](bool rang) {
                 const std::shared_ptr<Arrival> late = rang ? arrival.lock() : nullptr;
                 if (late != nullptr) late->GiveUp();
               });
    Receive();
  }

 private:
  void Receive() {
    grpc_op receive = {};
    receive.op = GRPC_OP_RECV_MESSAGE;
    receive.data.recv_message.recv_message = &bytes_;
    grpc_completion_queue_functor* const tag = this;
    grpc_call_start_batch(call_.call->call(), &receive, 1, tag, nullptr);
  }

  static void Arrived(grpc_completion_queue_functor* tag, int ok) {
    auto* const arrival = static_cast<Arrival*>(tag);
    const std::shared_ptr<Arrival> self = std::move(arrival->self_);
    const bool in_time = !arrival->decided_.exchange(true);
    arrival->alarm_.Cancel();
    arrival->End(ok != 0 && in_time && arrival->bytes_ != nullptr);
  }

  // The wait for the request is over.
  void End(bool arrived) {
    self_.reset();
    if (has_place_) handler_->End(peer_);
    HandOver(arrived);
  }

  // Whether or not there is a request, the handler must run: it closes gRPC's books of the call. It
  // does not look at a request whose status is an error, but wants one.
  void HandOver(bool arrived) {
    if (bytes_ == nullptr) bytes_ = grpc_raw_byte_buffer_create(nullptr, 0);
    grpc::Status status;
    void* data = nullptr;
    void* const request =
        handler_->handler_->Deserialize(call_.call->call(), bytes_, &status, &data);
    if (!arrived && entry_.status.ok()) {
      status = grpc::Status(grpc::StatusCode::CANCELLED, "no request came");
    } else if (handler_->door_.hand_over) {
      handler_->door_.hand_over(request, std::move(entry_));
    }
    handler_->handler_->RunHandler(
        {call_.call, call_.server_context, request, status, data, call_.call_requester});
  }

  // Ends the call, and with it the wait for its request.
  void GiveUp() {
    if (decided_.exchange(true)) return;
    const std::string message = absl::StrCat("the request has not arrived in full within ",
                                             absl::FormatDuration(handler_->limits_.time));
    if (handler_->on_late_) handler_->on_late_({peer_, absl::Now() - start_});
    grpc_call_cancel_with_status(call_.call->call(), GRPC_STATUS_DEADLINE_EXCEEDED, message.c_str(),
                                 nullptr);
  }

  // Without a line in any log: a client that floods would fill them.
  void Refuse() {
    const std::string message =
        absl::StrCat("the requests of ", handler_->limits_.calls_of_connection,
                     " calls of this connection have not arrived, which is the limit");
    grpc_call_cancel_with_status(call_.call->call(), GRPC_STATUS_RESOURCE_EXHAUSTED,
                                 message.c_str(), nullptr);
  }

  ReceivingHandler* const handler_;
  const HandlerParameter call_;
  const absl::Time start_;
  Entry entry_;
  const std::string peer_;
  const bool has_place_;
  grpc_byte_buffer* bytes_ = nullptr;
  std::atomic<bool> decided_ = false;  // By whoever is first: the request or the alarm.
  grpc::Alarm alarm_;
  std::shared_ptr<Arrival> self_;
};

ReceivingHandler::ReceivingHandler(std::unique_ptr<grpc::internal::MethodHandler> handler,
                                   const ReceiveLimits& limits, OnLate on_late, Door door)
    : handler_(std::move(handler)),
      limits_(limits),
      on_late_(std::move(on_late)),
      door_(std::move(door)) {}

bool ReceivingHandler::Begin(const std::string& peer) {
  absl::MutexLock lock(&mutex_);
  uint32_t& calls = arriving_[peer];
  if (calls >= limits_.calls_of_connection) return false;
  ++calls;
  return true;
}

void ReceivingHandler::End(const std::string& peer) {
  absl::MutexLock lock(&mutex_);
  const auto found = arriving_.find(peer);
  if (--found->second == 0) arriving_.erase(found);
}

void ReceivingHandler::RunHandler(const HandlerParameter& call) {
  std::make_shared<Arrival>(this, call)->Start();
}

}  // namespace hmar
