#ifndef HMAR_CLIENT_LOAD_MIX_H_
#define HMAR_CLIENT_LOAD_MIX_H_

// What kinds of calls a load is made of.

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "client/load/schedule.h"

namespace hmar::load {

// One kind of call. Its fields stand once more in mix_fields.cc, with their limits; from there they
// are keys of a mix file, flags and --help.
struct Kind {
  std::string name;                  // For reports. Of a mix without one: METHOD-N, N from 1.
  double weight = 1;                 // Share of the calls, beside the other kinds' weights.
  std::string method = "generate";   // "generate", "generate_images", "edit".
  std::string model;                 // Empty: the server's default.
  int64_t images = 1;                // num_images
  std::string previews = "none";     // "none", "fast", "full".
  std::string format = "png";        // "png", "rgb".
  int64_t priority = 0;              // scheduling.priority
  int64_t deadline_ms = 0;           // The call's deadline, from when it is due; 0: none.
  std::string on_deadline = "fail";  // "fail", "refuse", "degrade".
  int64_t cancel_after_ms = 0;       // Cancelled by the client so long after it is due; 0: never.
  int64_t read_delay_ms = 0;         // Waits so long before each read: a slow client.
  std::string principal;             // Who calls: a channel and a forwarded address of their own.
  std::string api_key_file;          // Of the key its calls show; empty: the load's key.
  int64_t uploads = 8;               // Different pictures that edits send, by seed.

  friend bool operator==(const Kind&, const Kind&) = default;
};

inline constexpr size_t kMaxKinds = 64;
inline constexpr size_t kMaxMixBytes = size_t{1} << 20;

// The [[mix]] tables of a TOML file, 1 .. kMaxKinds of them, with different names. `source` names
// the text in errors. INVALID_ARGUMENT, naming the field, the value and the limit.
absl::StatusOr<std::vector<Kind>> ParseMix(absl::string_view toml, const std::string& source);

// What fields exclude each other: previews need a stream. INVALID_ARGUMENT, naming both.
absl::Status CheckKind(const Kind& kind);

// Fills in the names that are missing.
void NameKinds(std::vector<Kind>& kinds);

// What call number i is. Pure: the same arguments give the same calls. Not thread-safe.
struct PlannedCall {
  size_t kind = 0;    // Index into the kinds.
  uint64_t seed = 0;  // The request's.
};
class Planner {
 public:
  // Kinds are drawn by their weights. Seeds of a kind rise from `first_seed`; after
  // `distinct_seeds` of them they start again (0: never). REQUIRES: kinds, of positive weights.
  Planner(const std::vector<Kind>& kinds, uint64_t first_seed, uint64_t distinct_seeds);

  PlannedCall Next();

 private:
  const uint64_t first_seed_;
  const uint64_t distinct_seeds_;
  Random random_;
  std::vector<double> weights_up_to_;  // Sum of weights up to and with each kind.
  std::vector<uint64_t> calls_;        // Of each kind so far.
};

}  // namespace hmar::load

#endif  // HMAR_CLIENT_LOAD_MIX_H_
