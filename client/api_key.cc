#include "client/api_key.h"

#include <openssl/evp.h>
#include <openssl/rand.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <fstream>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace hmar {
namespace {

constexpr size_t kMaxKeyBytes = 256;
constexpr size_t kRandomBytes = 32;

// gRPC ends the process over a header that is none.
absl::Status CheckKey(absl::string_view key, absl::string_view where) {
  const bool printable =
      std::all_of(key.begin(), key.end(), [](unsigned char c) { return absl::ascii_isgraph(c); });
  if (!key.empty() && key.size() <= kMaxKeyBytes && printable) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(where, " holds no key: want 1 to ", kMaxKeyBytes,
                                                 " printable characters without a space"));
}

}  // namespace

absl::StatusOr<std::string> ReadApiKey(const ApiKeyOptions& options) {
  if (options.file.empty()) {
    if (options.key.empty()) return "";
    const absl::Status status = CheckKey(options.key, "--api-key, or HMAR_KEY,");
    return status.ok() ? absl::StatusOr<std::string>(options.key) : status;
  }
  std::ifstream file(options.file, std::ios::binary);
  std::string text(kMaxKeyBytes + 2, '\0');  // With an end of line.
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<size_t>(file.gcount()));
  const std::string key(absl::StripAsciiWhitespace(text));
  const absl::Status status = CheckKey(key, absl::StrCat("--api-key-file ", options.file));
  return status.ok() ? absl::StatusOr<std::string>(key) : status;
}

void AddKey(const std::string& key, grpc::ClientContext& context) {
  if (!key.empty()) context.AddMetadata("authorization", absl::StrCat("Bearer ", key));
}

absl::StatusOr<std::string> NewApiKey() {
  std::array<uint8_t, kRandomBytes> bytes;
  if (RAND_bytes(bytes.data(), bytes.size()) != 1) {
    return absl::InternalError("the system has no random numbers");
  }
  std::string text = absl::WebSafeBase64Escape(
      absl::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size()));
  return absl::StrCat("hmar_", text);
}

std::string ApiKeyHash(const std::string& key) {
  std::array<uint8_t, EVP_MAX_MD_SIZE> hash = {};
  unsigned int size = 0;
  EVP_Digest(key.data(), key.size(), hash.data(), &size, EVP_sha256(), nullptr);
  return absl::BytesToHexString(
      absl::string_view(reinterpret_cast<const char*>(hash.data()), size));
}

}  // namespace hmar
