#include "client/reply_stream.h"

#include "absl/strings/str_cat.h"
#include "client/call_error.h"
#include "client/wire_check.h"
#include "grpcpp/generic/generic_stub.h"
#include "grpcpp/impl/codegen/proto_utils.h"
#include "grpcpp/support/proto_buffer_reader.h"
#include "model/status_macros.h"

namespace hmar {
namespace {

// Of generated stubs, none hands out bytes; this one does. A unary call is, on the wire, a stream
// of one message each way.
using ByteStub = grpc::TemplatedGenericStub<google::protobuf::Message, grpc::ByteBuffer>;

// Waits for the one operation under way; true if it succeeded.
bool WaitFor(grpc::CompletionQueue& queue) {
  void* tag = nullptr;
  bool ok = false;
  return queue.Next(&tag, &ok) && ok;
}

}  // namespace

absl::Status ReadReplies(const std::shared_ptr<grpc::Channel>& channel,
                         grpc::ClientContext& context, const std::string& method,
                         const google::protobuf::Message& request,
                         const std::function<absl::Status(grpc::ByteBuffer&)>& on_reply) {
  grpc::CompletionQueue queue;
  const auto stream = ByteStub(channel).PrepareCall(&context, method, &queue);
  stream->StartCall(/*tag=*/nullptr);
  bool open = WaitFor(queue);
  if (open) {
    stream->WriteLast(request, {}, /*tag=*/nullptr);
    WaitFor(queue);  // Replies, or the call's error, may be there although this failed.
  }
  absl::Status judgement;
  while (open && judgement.ok()) {
    grpc::ByteBuffer reply;
    stream->Read(&reply, /*tag=*/nullptr);
    open = WaitFor(queue);
    if (open) judgement = on_reply(reply);
  }
  if (!judgement.ok()) context.TryCancel();
  grpc::Status status;
  stream->Finish(&status, /*tag=*/nullptr);
  WaitFor(queue);
  queue.Shutdown();
  WaitFor(queue);  // Its end.
  return judgement.ok() ? StatusFromGrpc(status) : judgement;
}

absl::Status ParseReply(grpc::ByteBuffer& bytes, const ReplyLimits& limits,
                        google::protobuf::Message& reply) {
  if (bytes.Length() > limits.max_bytes) {
    return absl::DataLossError(absl::StrCat("a ", reply.GetDescriptor()->name(), " of ",
                                            bytes.Length(), " bytes; at most ", limits.max_bytes));
  }
  {
    grpc::ProtoBufferReader counted(&bytes);
    HMAR_RETURN_IF_ERROR(CheckFieldCount(*reply.GetDescriptor(), counted, limits.max_fields));
  }
  grpc::ProtoBufferReader parsed(&bytes);
  if (reply.ParseFromZeroCopyStream(&parsed)) return absl::OkStatus();
  return absl::DataLossError(absl::StrCat("bytes that are no ", reply.GetDescriptor()->name()));
}

}  // namespace hmar
