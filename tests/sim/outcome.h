#ifndef HMAR_TESTS_SIM_OUTCOME_H_
#define HMAR_TESTS_SIM_OUTCOME_H_

// What became of calls.

#include <cstdint>
#include <string>
#include <vector>

namespace hmar::sim {

// How a call ended. Every call that comes ends in one way, once.
enum class End {
  kDone,
  kExpired,  // Its deadline passed, or the server's estimate said that it would.
  kRefused,  // The queue, or its principal's part of it, was full.
  kLost,     // Replicas died under it, or there was none, as often as it was tried.
};

// Of the calls of one kind.
struct KindOutcome {
  uint64_t calls = 0;  // That came.
  uint64_t done = 0, expired = 0, refused = 0, lost = 0;
  uint64_t degraded_images = 0;
  uint64_t images = 0;         // Done, of whatever calls.
  uint64_t wasted_images = 0;  // Of these, those of calls that were not done, or began anew.
  uint64_t tries = 0;          // More than calls where replicas failed, or there was none.
  // Of each call done: seconds from when it was due.
  std::vector<float> latencies;

  uint64_t ended() const { return done + expired + refused + lost; }
  void Count(End end, double latency_seconds);
  void Add(const KindOutcome& more);
};

// The q-quantile, 0 <= q <= 1, of values in any order; 0 if there are none. Reorders them.
double Quantile(std::vector<float>& values, double q);

// The part of these that is at most `limit`; 0 if there are none.
double PartWithin(const std::vector<float>& values, double limit);

}  // namespace hmar::sim

#endif  // HMAR_TESTS_SIM_OUTCOME_H_
