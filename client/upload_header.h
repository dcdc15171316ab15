#ifndef HMAR_CLIENT_UPLOAD_HEADER_H_
#define HMAR_CLIENT_UPLOAD_HEADER_H_

#include <string>

#include "grpcpp/client_context.h"
#include "hmar/v1/image_generation.pb.h"

namespace hmar {

// Tells a balancer which edits are of one picture, so that all go to the replica that has its
// tokens already. Servers do not look at it.
inline constexpr char kUploadHeader[] = "x-hmar-upload";

// The first 8 bytes of the SHA-256 of the uploaded picture, in lower-case hex; "": no edit.
std::string UploadOf(const v1::GenerateRequest& request);

// Has an edit's call say so; other calls stay as they are.
void AddUpload(const v1::GenerateRequest& request, grpc::ClientContext& context);

}  // namespace hmar

#endif  // HMAR_CLIENT_UPLOAD_HEADER_H_
