#include "client/reply_stream.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "client/call_error.h"
#include "client/client.h"
#include "client/wire_check.h"
#include "grpcpp/impl/codegen/proto_utils.h"
#include "grpcpp/support/proto_buffer_reader.h"
#include "hmar/v1/image_generation.grpc.pb.h"
#include "model/status_macros.h"

namespace hmar {
namespace {

// Fields of a message, known and unknown: some hundred bytes of memory each. An event of ours has
// less than a thousand: tokens are packed, a field a scale.
constexpr uint32_t kMaxEventFields = 10'000;
constexpr uint32_t kMaxImagesReplyFields = 2'000'000;

// Waits for the one operation under way; true if it succeeded.
bool WaitFor(grpc::CompletionQueue& queue) {
  void* tag = nullptr;
  bool ok = false;
  return queue.Next(&tag, &ok) && ok;
}

}  // namespace

ReplyLimits EventLimits() { return {kMaxEventBytes, kMaxEventFields}; }

ReplyLimits ImagesReplyLimits(uint32_t images) {
  const uint64_t fields = kMaxEventFields * (uint64_t{images} + 2);
  return {kMaxReplyBytes, static_cast<uint32_t>(std::min<uint64_t>(fields, kMaxImagesReplyFields))};
}

std::string Method(absl::string_view name) {
  return absl::StrCat("/", v1::ImageGenerationService::service_full_name(), "/", name);
}

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

absl::Status CheckImagesReply(const v1::GenerateRequest& request, const AnswerLimits& limits,
                              const v1::GenerateImagesResponse& reply) {
  AnswerCheck check(request, limits);
  v1::GenerateResponse event;
  if (reply.has_accepted()) {
    *event.mutable_accepted() = reply.accepted();
    HMAR_RETURN_IF_ERROR(check.Event(event));
  }
  for (const v1::Image& image : reply.images()) {
    *event.mutable_image() = image;
    HMAR_RETURN_IF_ERROR(check.Event(event));
  }
  if (reply.has_completed()) {
    *event.mutable_completed() = reply.completed();
    HMAR_RETURN_IF_ERROR(check.Event(event));
  }
  return check.End();
}

}  // namespace hmar
