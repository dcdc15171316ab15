#ifndef HMAR_SERVER_KEYS_KEY_FILE_H_
#define HMAR_SERVER_KEYS_KEY_FILE_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "server/keys/key.h"

namespace hmar {

// More than these is no keys file.
inline constexpr size_t kMaxKeysFileBytes = 4 << 20;
inline constexpr size_t kMaxKeys = 4096;
inline constexpr size_t kMaxHashesOfKey = 8;
inline constexpr size_t kMaxKeyNameBytes = 64;

// Reads a keys file: TOML of nothing but [[key]] tables, with the fields
//
//   name = "alice"             # A-Z a-z 0-9 . _ -, at most kMaxKeyNameBytes, a name a key
//   sha256 = "9f86d0..."       # 64 hex digits, or an array of up to kMaxHashesOfKey such
//   models = ["hmar-cifar10"]  # those it may use, each one of `models`; absent: all
//   images_per_minute = 600    # 1 .. 1e9
//   max_queued_images = 128    # 1 .. 1e6
//   max_priority = 0           # -10 .. 10
//   weight = 2.0               # 0.01 .. 100; absent: 1
//   expires = 2027-01-31T00:00:00Z  # or a date: the end of that day, UTC
//
// INVALID_ARGUMENT "SOURCE:LINE: what" of the first fault: no TOML, an unknown field, a value out
// of its range, a name or a hash that two keys have. No message quotes a hash. Pure, thread-safe.
absl::StatusOr<std::vector<Key>> ParseKeys(absl::string_view toml, const std::string& source,
                                           absl::Span<const std::string> models);

// Likewise, of a file; also where it cannot be read or is larger than kMaxKeysFileBytes.
absl::StatusOr<std::vector<Key>> ReadKeys(const std::string& path,
                                          absl::Span<const std::string> models);

}  // namespace hmar

#endif  // HMAR_SERVER_KEYS_KEY_FILE_H_
