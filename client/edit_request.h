#ifndef HMAR_CLIENT_EDIT_REQUEST_H_
#define HMAR_CLIENT_EDIT_REQUEST_H_

#include "absl/status/statusor.h"
#include "client/command_line.h"
#include "hmar/v1/image_generation.pb.h"

namespace hmar {

// The request `hmar edit` asks for: MakeGenerateRequest's, with the files that --image and --mask
// name, byte for byte. Whether they are PNGs, and where a box may lie, is the server's to say.
// INVALID_ARGUMENT or NOT_FOUND, naming the flag and the file: it cannot be read, is empty or
// larger than kMaxUploadBytes; and all that MakeGenerateRequest refuses.
absl::StatusOr<v1::GenerateRequest> MakeEditRequest(const EditCommand& command);

}  // namespace hmar

#endif  // HMAR_CLIENT_EDIT_REQUEST_H_
