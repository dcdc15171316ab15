#ifndef HMAR_CLIENT_WIRE_CHECK_H_
#define HMAR_CLIENT_WIRE_CHECK_H_

// What a serialized message would cost, before it is parsed. Two bytes on the wire are an empty
// Image or Model, hundreds of bytes in memory: bytes alone bound nothing.

#include <cstdint>

#include "absl/status/status.h"
#include "google/protobuf/descriptor.h"
#include "google/protobuf/io/zero_copy_stream.h"

namespace hmar {

// Reads all of `bytes` as a message of this type, keeping nothing. Counted is each field of the
// message and of those inside it, known to the type or not, once for each time it occurs; a packed
// list is one field. DATA_LOSS: more than `max_fields`, told as soon as they are passed, or bytes
// that are no message. Thread-safe.
absl::Status CheckFieldCount(const google::protobuf::Descriptor& type,
                             google::protobuf::io::ZeroCopyInputStream& bytes, uint32_t max_fields);

}  // namespace hmar

#endif  // HMAR_CLIENT_WIRE_CHECK_H_
