#ifndef HMAR_CLIENT_GENERATE_REQUEST_H_
#define HMAR_CLIENT_GENERATE_REQUEST_H_

#include "absl/status/statusor.h"
#include "client/command_line.h"
#include "hmar/v1/image_generation.pb.h"

namespace hmar {

// The request a command line asks for; reads the tokens file it names. Ranges are left to the
// server, which knows the model. INVALID_ARGUMENT or NOT_FOUND: the schedule is no JSON, the tokens
// file cannot be used.
absl::StatusOr<v1::GenerateRequest> MakeGenerateRequest(const GenerateCommand& command);

}  // namespace hmar

#endif  // HMAR_CLIENT_GENERATE_REQUEST_H_
