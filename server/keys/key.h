#ifndef HMAR_SERVER_KEYS_KEY_H_
#define HMAR_SERVER_KEYS_KEY_H_

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"

namespace hmar {

// SHA-256 of a key: what a server keeps of one. A key is 32 random bytes, so nobody guesses it from
// its hash, and no salt or slow hash is needed.
using KeyHash = std::array<uint8_t, 32>;

// One [[key]] of a keys file: who holds it, and what they may. What is absent is not limited beyond
// what the server's own options say.
struct Key {
  std::string name;             // The principal: in metrics, logs, and fair shares.
  std::vector<KeyHash> hashes;  // Any of them opens: an old and a new key at the same time.
  std::optional<std::vector<std::string>> models;  // Names of those it may use.
  std::optional<uint32_t> images_per_minute;
  std::optional<uint32_t> max_queued_images;  // Instead of --max-queued-images-per-client.
  std::optional<int> max_priority;
  double weight = 1;  // Of its share of the devices beside others'.
  absl::Time expires = absl::InfiniteFuture();
};

}  // namespace hmar

#endif  // HMAR_SERVER_KEYS_KEY_H_
