#include "server/discovery/short_request.h"

#include <grpcpp/support/proto_buffer_reader.h>

#include <memory>

#include "absl/strings/str_cat.h"

namespace hmar {

grpc::Status ReadShortRequest(const grpc::ByteBuffer& bytes, google::protobuf::Message* message) {
  message->Clear();
  if (bytes.Length() > kMaxShortRequestBytes) {
    return grpc::Status(grpc::StatusCode::INVALID_ARGUMENT,
                        absl::StrCat("the request has ", bytes.Length(), " bytes, over the limit ",
                                     kMaxShortRequestBytes));
  }
  // Into another message first: clearing unknown fields keeps their memory, a copy has only what is
  // left.
  const std::unique_ptr<google::protobuf::Message> all(message->New());
  grpc::ByteBuffer copy = bytes;  // The reader wants one to write to; the bytes are shared.
  grpc::ProtoBufferReader reader(&copy);
  if (!reader.status().ok() || !all->ParseFromZeroCopyStream(&reader)) {
    return grpc::Status(grpc::StatusCode::INVALID_ARGUMENT,
                        absl::StrCat("the bytes are no ", message->GetDescriptor()->full_name()));
  }
  all->DiscardUnknownFields();
  message->CopyFrom(*all);
  return grpc::Status::OK;
}

}  // namespace hmar
