#ifndef HMAR_TESTS_SIM_CALL_MAKER_H_
#define HMAR_TESTS_SIM_CALL_MAKER_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "client/load/mix.h"
#include "server/scheduling/work.h"
#include "tests/sim/device_profile.h"

namespace hmar::sim {

// A call of a client, from when it is due until it has ended, whatever replicas it is sent to.
struct Call {
  size_t kind = 0;    // Index into the mix.
  uint64_t seed = 0;  // Of its first image; says which of the kind's principals sends it, too.
  absl::Time due;
  uint32_t tries = 0;
  bool counted = false;  // It came after the warm-up.
};

// Turns kinds of calls, as hmar-load's mix files have them, into what the server makes of them:
// its scheduler's Work. Thread-safe.
class CallMaker {
 public:
  // `principals`: each kind without a principal of its own has so many, at least 1; they take turns
  // by the seed. INVALID_ARGUMENT: a kind that is not simulated (edits, cancelled calls, slow
  // readers, or no generation).
  static absl::StatusOr<CallMaker> Make(const std::vector<load::Kind>& kinds,
                                        const DeviceProfile& profile, uint32_t principals);

  // The call as a replica gets it, less its listener.
  Work Make(const Call& call) const;
  // When the client gives it up.
  absl::Time Deadline(const Call& call) const { return call.due + types_[call.kind].deadline; }

  const std::vector<load::Kind>& kinds() const { return kinds_; }
  uint32_t images(size_t kind) const { return types_[kind].job.images; }

 private:
  struct Type {
    Job job;
    std::vector<std::string> principals;
    absl::Duration deadline;  // From when it is due.
  };

  static absl::StatusOr<Type> TypeOf(const load::Kind& kind, const DeviceProfile& profile,
                                     uint32_t principals);

  std::vector<load::Kind> kinds_;
  std::vector<Type> types_;  // By kind.
  absl::Duration way_;       // Of an answer to its client.
};

}  // namespace hmar::sim

#endif  // HMAR_TESTS_SIM_CALL_MAKER_H_
