#include "tests/sim/balancer.h"

#include "absl/strings/str_cat.h"

namespace hmar::sim {

absl::StatusOr<Balancing> ParseBalancing(const std::string& name) {
  if (name == "round-robin") return Balancing::kRoundRobin;
  if (name == "least-request") return Balancing::kLeastRequest;
  if (name == "random-of-two") return Balancing::kRandomOfTwo;
  return absl::InvalidArgumentError(absl::StrCat(
      "a balancer is round-robin, least-request or random-of-two, not \"", name, "\""));
}

size_t Balancer::Pick(absl::Span<const uint32_t> open_calls) {
  ++turn_;
  if (balancing_ == Balancing::kRoundRobin) return turn_ % open_calls.size();
  if (balancing_ == Balancing::kLeastRequest) return Fewest(open_calls);
  const size_t one = random_.Next() % open_calls.size();
  const size_t other = random_.Next() % open_calls.size();
  return open_calls[other] < open_calls[one] ? other : one;
}

size_t Balancer::Fewest(absl::Span<const uint32_t> open_calls) const {
  const size_t count = open_calls.size();
  size_t best = turn_ % count;
  for (size_t i = 1; i < count && open_calls[best] > 0; ++i) {
    const size_t next = (turn_ + i) % count;
    if (open_calls[next] < open_calls[best]) best = next;
  }
  return best;
}

}  // namespace hmar::sim
