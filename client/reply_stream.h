#ifndef HMAR_CLIENT_REPLY_STREAM_H_
#define HMAR_CLIENT_REPLY_STREAM_H_

// Calls whose replies are judged as bytes before they become messages. For client.cc, and for the
// calls of client/load.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "client/answer_check.h"
#include "google/protobuf/message.h"
#include "grpcpp/generic/generic_stub.h"
#include "grpcpp/grpcpp.h"
#include "hmar/v1/image_generation.pb.h"

namespace hmar {

// What a reply may take; see client/wire_check.h for what counts as a field.
struct ReplyLimits {
  size_t max_bytes = 0;
  uint32_t max_fields = 0;
};

// Of an event of a stream, and of GenerateImages' reply for so many images.
ReplyLimits EventLimits();
ReplyLimits ImagesReplyLimits(uint32_t images);

// A method of the service as gRPC calls it: "/hmar.v1.ImageGenerationService/Generate".
std::string Method(absl::string_view name);

// Of generated stubs, none hands out bytes; this one does. A unary call is, on the wire, a stream
// of one message each way. Who uses it includes grpcpp/impl/codegen/proto_utils.h.
using ByteStub = grpc::TemplatedGenericStub<google::protobuf::Message, grpc::ByteBuffer>;

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

// GenerateImages' reply holds what a stream would, in the order of one. DATA_LOSS: it does not.
absl::Status CheckImagesReply(const v1::GenerateRequest& request, const AnswerLimits& limits,
                              const v1::GenerateImagesResponse& reply);

}  // namespace hmar

#endif  // HMAR_CLIENT_REPLY_STREAM_H_
