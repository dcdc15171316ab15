#ifndef HMAR_SERVER_DISCOVERY_SHORT_REQUEST_H_
#define HMAR_SERVER_DISCOVERY_SHORT_REQUEST_H_

#include <google/protobuf/message.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/status.h>

#include <cstddef>

namespace hmar {

// What asks for a name needs no more, and what protobuf makes of so little is little as well.
inline constexpr size_t kMaxShortRequestBytes = 4096;

// Parses `bytes`, and forgets the fields it does not know. INVALID_ARGUMENT if there are more than
// kMaxShortRequestBytes, which are then not looked at, or if they are no message of this type; then
// `message` is empty. Pure, thread-safe.
grpc::Status ReadShortRequest(const grpc::ByteBuffer& bytes, google::protobuf::Message* message);

// What gRPC hands to a handler: a request, or why there is none. The handler answers either.
template <typename Message>
struct ShortRequest {
  Message message;
  grpc::Status status;  // ReadShortRequest's.
};

}  // namespace hmar

template <typename Message>
class grpc::SerializationTraits<hmar::ShortRequest<Message>, void> {
 public:
  static Status Deserialize(ByteBuffer* bytes, hmar::ShortRequest<Message>* request) {
    request->status = hmar::ReadShortRequest(*bytes, &request->message);
    bytes->Clear();
    return Status::OK;
  }
};

#endif  // HMAR_SERVER_DISCOVERY_SHORT_REQUEST_H_
