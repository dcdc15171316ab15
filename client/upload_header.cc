#include "client/upload_header.h"

#include <openssl/sha.h>

#include <array>
#include <cstdint>

#include "absl/strings/escaping.h"
#include "absl/strings/string_view.h"

namespace hmar {
namespace {

constexpr size_t kBytes =
    8;  // Enough to tell pictures apart; a collision costs a place in a cache.

}  // namespace

std::string UploadOf(const v1::GenerateRequest& request) {
  if (!request.has_edit()) return "";
  const std::string& picture = request.edit().image();
  std::array<uint8_t, SHA256_DIGEST_LENGTH> digest;
  SHA256(reinterpret_cast<const uint8_t*>(picture.data()), picture.size(), digest.data());
  return absl::BytesToHexString(
      absl::string_view(reinterpret_cast<const char*>(digest.data()), kBytes));
}

void AddUpload(const v1::GenerateRequest& request, grpc::ClientContext& context) {
  if (request.has_edit()) context.AddMetadata(kUploadHeader, UploadOf(request));
}

}  // namespace hmar
