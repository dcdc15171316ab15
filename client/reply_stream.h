#ifndef HMAR_CLIENT_REPLY_STREAM_H_
#define HMAR_CLIENT_REPLY_STREAM_H_

// Calls whose replies are judged as bytes before they become messages. For client.cc alone.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "google/protobuf/message.h"
#include "grpcpp/grpcpp.h"

namespace hmar {

// What a reply may take; see client/wire_check.h for what counts as a field.
struct ReplyLimits {
  size_t max_bytes = 0;
  uint32_t max_fields = 0;
};

// Runs one call, unary or server-streaming, and hands each reply to `on_reply`, in order, on this
// thread. Blocks until the call has ended; its deadline and cancellation are the context's. An
// error of `on_reply` cancels the call and is returned; else the call's own status (call_error.h).
absl::Status ReadReplies(const std::shared_ptr<grpc::Channel>& channel,
                         grpc::ClientContext& context, const std::string& method,
                         const google::protobuf::Message& request,
                         const std::function<absl::Status(grpc::ByteBuffer&)>& on_reply);

// DATA_LOSS: over a limit, or no message of this type; `reply` is then anything.
absl::Status ParseReply(grpc::ByteBuffer& bytes, const ReplyLimits& limits,
                        google::protobuf::Message& reply);

}  // namespace hmar

#endif  // HMAR_CLIENT_REPLY_STREAM_H_
