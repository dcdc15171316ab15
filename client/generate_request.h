#ifndef HMAR_CLIENT_GENERATE_REQUEST_H_
#define HMAR_CLIENT_GENERATE_REQUEST_H_

#include "absl/status/statusor.h"
#include "client/command_line.h"
#include "hmar/v1/image_generation.pb.h"

namespace hmar {

// The request that flags ask for; reads the tokens file they name, whose model is asked for if no
// other was. Ranges are left to the server, which knows the model. INVALID_ARGUMENT or NOT_FOUND,
// naming the flag: the schedule is no JSON, the tokens file cannot be used.
absl::StatusOr<v1::GenerateRequest> MakeGenerateRequest(const RequestFlags& flags);

}  // namespace hmar

#endif  // HMAR_CLIENT_GENERATE_REQUEST_H_
