#ifndef HMAR_CLIENT_EDIT_REQUEST_H_
#define HMAR_CLIENT_EDIT_REQUEST_H_

#include <cstdint>

#include "absl/status/statusor.h"
#include "client/command_line.h"
#include "hmar/v1/image_generation.pb.h"

namespace hmar {

// What is read of a file: an image and a mask of this size fill the largest message that a server
// can be told to take. How large a file may be is the server's to say (--max-upload-bytes, 16 MiB
// by default).
inline constexpr uint64_t kMaxUploadBytes = uint64_t{512} << 20;

// The request `hmar edit` asks for: MakeGenerateRequest's, with the files that --image and --mask
// name, byte for byte. Whether they are pictures, and where a box may lie, is the server's to say.
// INVALID_ARGUMENT or NOT_FOUND, naming the flag and the file: it cannot be read, is empty or
// larger than kMaxUploadBytes; and all that MakeGenerateRequest refuses.
absl::StatusOr<v1::GenerateRequest> MakeEditRequest(const EditCommand& command);

}  // namespace hmar

#endif  // HMAR_CLIENT_EDIT_REQUEST_H_
