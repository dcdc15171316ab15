#include "client/load/image_memory.h"

#include <openssl/sha.h>

namespace hmar::load {

bool ImageMemory::SameAsBefore(size_t kind, uint64_t seed, uint32_t index,
                               absl::string_view bytes) {
  Digest digest;
  SHA256(reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size(), digest.data());
  absl::MutexLock lock(&mutex_);
  const auto [known, is_new] = digests_.try_emplace({kind, seed, index}, digest);
  if (is_new) return true;
  ++compared_;
  return known->second == digest;
}

uint64_t ImageMemory::compared() const {
  absl::MutexLock lock(&mutex_);
  return compared_;
}

}  // namespace hmar::load
