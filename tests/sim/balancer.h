#ifndef HMAR_TESTS_SIM_BALANCER_H_
#define HMAR_TESTS_SIM_BALANCER_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "client/load/schedule.h"

namespace hmar::sim {

enum class Balancing {
  kRoundRobin,
  kLeastRequest,  // The fewest open calls of all (HAProxy: leastconn), of equal ones in turn.
  kRandomOfTwo,   // The fewer open calls of two drawn (Envoy: LEAST_REQUEST as it comes).
};

// "round-robin", "least-request", "random-of-two". INVALID_ARGUMENT lists them.
absl::StatusOr<Balancing> ParseBalancing(const std::string& name);

// Says which replica a call goes to. Thread-compatible.
class Balancer {
 public:
  Balancer(Balancing balancing, uint64_t seed) : balancing_(balancing), random_(seed) {}

  // An index into `open_calls`: what each replica has. REQUIRES: there is one.
  size_t Pick(absl::Span<const uint32_t> open_calls);

 private:
  size_t Fewest(absl::Span<const uint32_t> open_calls) const;

  const Balancing balancing_;
  load::Random random_;
  size_t turn_ = 0;
};

}  // namespace hmar::sim

#endif  // HMAR_TESTS_SIM_BALANCER_H_
