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
  Arrival(const ReceivingHandler* handler, const HandlerParameter& call)
      : grpc_completion_queue_functor(), handler_(handler), call_(call), start_(absl::Now()) {
    functor_run = &Arrived;
    grpc_call_ref(call_.call->call());  // Not to be gone when the alarm rings.
  }
  Arrival(const Arrival&) = delete;
  ~Arrival() { grpc_call_unref(call_.call->call()); }

  void Start() {
    if (handler_->door_.admit) admitted_ = handler_->door_.admit(*call_.server_context);
    if (!admitted_.ok()) return HandOver(/*arrived=*/false);
    self_ = shared_from_this();
    alarm_.Set(absl::ToChronoTime(start_ + handler_->limit_),
               [arrival = weak_from_this()](bool rang) {
                 const std::shared_ptr<Arrival> late = rang ? arrival.lock() : nullptr;
                 if (late != nullptr) late->GiveUp();
               });
    grpc_op receive = {};
    receive.op = GRPC_OP_RECV_MESSAGE;
    receive.data.recv_message.recv_message = &bytes_;
    grpc_completion_queue_functor* const tag = this;
    grpc_call_start_batch(call_.call->call(), &receive, 1, tag, nullptr);
  }

 private:
  static void Arrived(grpc_completion_queue_functor* tag, int ok) {
    auto* const arrival = static_cast<Arrival*>(tag);
    const std::shared_ptr<Arrival> self = std::move(arrival->self_);
    const bool in_time = !arrival->decided_.exchange(true);
    arrival->alarm_.Cancel();
    arrival->HandOver(ok != 0 && in_time && arrival->bytes_ != nullptr);
  }

  // Whether or not there is a request, the handler must run: it closes gRPC's books of the call. It
  // does not look at a request whose status is an error, but wants one.
  void HandOver(bool arrived) {
    if (bytes_ == nullptr) bytes_ = grpc_raw_byte_buffer_create(nullptr, 0);
    grpc::Status status;
    void* data = nullptr;
    void* const request =
        handler_->handler_->Deserialize(call_.call->call(), bytes_, &status, &data);
    if (!arrived && admitted_.ok()) {
      status = grpc::Status(grpc::StatusCode::CANCELLED, "no request came");
    } else if (handler_->door_.hand_over) {
      handler_->door_.hand_over(request, std::move(admitted_));
    }
    handler_->handler_->RunHandler(
        {call_.call, call_.server_context, request, status, data, call_.call_requester});
  }

  // Ends the call, and with it the wait for its request.
  void GiveUp() {
    if (decided_.exchange(true)) return;
    const std::string message = absl::StrCat("the request has not arrived in full within ",
                                             absl::FormatDuration(handler_->limit_));
    if (handler_->on_late_) {
      handler_->on_late_({call_.server_context->peer(), absl::Now() - start_});
    }
    grpc_call_cancel_with_status(call_.call->call(), GRPC_STATUS_DEADLINE_EXCEEDED, message.c_str(),
                                 nullptr);
  }

  const ReceivingHandler* const handler_;
  const HandlerParameter call_;
  const absl::Time start_;
  absl::StatusOr<Quota::Ticket> admitted_ = Quota::Ticket();
  grpc_byte_buffer* bytes_ = nullptr;
  std::atomic<bool> decided_ = false;  // By whoever is first: the request or the alarm.
  grpc::Alarm alarm_;
  std::shared_ptr<Arrival> self_;
};

ReceivingHandler::ReceivingHandler(std::unique_ptr<grpc::internal::MethodHandler> handler,
                                   absl::Duration limit, OnLate on_late, Door door)
    : handler_(std::move(handler)),
      limit_(limit),
      on_late_(std::move(on_late)),
      door_(std::move(door)) {}

void ReceivingHandler::RunHandler(const HandlerParameter& call) {
  std::make_shared<Arrival>(this, call)->Start();
}

}  // namespace hmar
