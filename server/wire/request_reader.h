#ifndef HMAR_SERVER_WIRE_REQUEST_READER_H_
#define HMAR_SERVER_WIRE_REQUEST_READER_H_

// From a request's bytes to its message, at a cost that the bytes bound.
//
// Protobuf keeps whatever a message holds, also the fields it does not know, and what takes two
// bytes on the wire may take more than sixty in memory: parsed as they come, 40 MiB of empty
// entries become 1.3 GB. So the bytes are walked first, which keeps nothing, and a request of more
// items than any model has use for is refused unparsed. Beyond the bytes themselves a request then
// takes at most kMaxRequestItems times 64 bytes (16 MiB) and once more the bytes of its strings.

#include <google/protobuf/message.h>
#include <grpcpp/support/byte_buffer.h>

#include <cstdint>

#include "absl/status/status.h"

namespace hmar {

// Fields and entries of repeated fields that a request may have, all together and on every level:
// a prefix or a mask schedule of 256 x 256 tokens has 100,000, the released models' 5,000.
inline constexpr uint32_t kMaxRequestItems = 1 << 18;

// Parses `bytes`. INVALID_ARGUMENT, with a BadRequest: MESSAGE_INVALID if they are no message of
// this type, FIELD_OUT_OF_RANGE if they have too many items, which names the field at which there
// were too many; then `message` is empty. Takes O(bytes) time, pure, thread-safe.
absl::Status ReadRequest(const grpc::ByteBuffer& bytes, google::protobuf::Message* message);

}  // namespace hmar

#endif  // HMAR_SERVER_WIRE_REQUEST_READER_H_
