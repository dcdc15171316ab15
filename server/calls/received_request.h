#ifndef HMAR_SERVER_CALLS_RECEIVED_REQUEST_H_
#define HMAR_SERVER_CALLS_RECEIVED_REQUEST_H_

#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/status.h>

#include "absl/status/status.h"
#include "server/calls/doorkeeper.h"
#include "server/wire/request_reader.h"

namespace hmar {

// What gRPC hands to a handler: a request, or why there is none. Reading never fails towards gRPC,
// which would answer with UNIMPLEMENTED and without a word: the handler answers, logs and counts.
template <typename Message>
struct ReceivedRequest {
  Message message;
  absl::Status status;  // ReadRequest's, or why the call was refused before it.
  Visit visit;          // Of the call that brought it.
};

}  // namespace hmar

template <typename Message>
class grpc::SerializationTraits<hmar::ReceivedRequest<Message>, void> {
 public:
  // Empties `bytes`, so that they are not kept beside what has been made of them.
  static Status Deserialize(ByteBuffer* bytes, hmar::ReceivedRequest<Message>* request) {
    request->status = hmar::ReadRequest(*bytes, &request->message);
    bytes->Clear();
    return Status::OK;
  }
};

#endif  // HMAR_SERVER_CALLS_RECEIVED_REQUEST_H_
