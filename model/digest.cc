#include "model/digest.h"

#include <openssl/evp.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace hmar {
namespace {

constexpr size_t kChunkBytes = 1 << 20;

// EVP calls fail only without memory or with a context misused, neither of which is handled here.
class Sha256 {
 public:
  Sha256() { EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr); }

  void Update(const void* data, size_t size) { EVP_DigestUpdate(context_.get(), data, size); }

  std::string Hex() && {
    uint8_t digest[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    EVP_DigestFinal_ex(context_.get(), digest, &size);
    return absl::BytesToHexString(absl::string_view(reinterpret_cast<const char*>(digest), size));
  }

 private:
  struct Free {
    void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
  };
  std::unique_ptr<EVP_MD_CTX, Free> context_{EVP_MD_CTX_new()};
};

}  // namespace

std::string Sha256OfText(const std::string& text) {
  Sha256 sha;
  sha.Update(text.data(), text.size());
  return std::move(sha).Hex();
}

absl::StatusOr<std::string> Sha256OfFile(const MappedFile& file) {
  const size_t size = file.bytes().size();
  Sha256 sha;
  std::vector<uint8_t> chunk(std::min(size, kChunkBytes));
  for (size_t at = 0; at < size;) {
    const size_t wanted = std::min(size - at, chunk.size());
    const ssize_t got = pread(file.fd(), chunk.data(), wanted, static_cast<off_t>(at));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return absl::ErrnoToStatus(errno, "cannot be read");
    if (got == 0) {
      return absl::DataLossError(absl::StrCat("was cut from ", size, " to ", at, " bytes"));
    }
    sha.Update(chunk.data(), static_cast<size_t>(got));
    at += static_cast<size_t>(got);
  }
  return std::move(sha).Hex();
}

}  // namespace hmar
