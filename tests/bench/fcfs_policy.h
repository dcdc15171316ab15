#ifndef HMAR_TESTS_BENCH_FCFS_POLICY_H_
#define HMAR_TESTS_BENCH_FCFS_POLICY_H_

#include <optional>

#include "server/scheduling/batch_policy.h"

namespace hmar {

// First come, first served, to compare ChooseStep with: all images in flight step, and those that
// wait start, in the order in which they came, as far as slots and rows go. Of one model alone.
// Knows no principal, priority or reserve.
std::optional<StepChoice> FirstComeFirstServed(const PolicyInput& input);

}  // namespace hmar

#endif  // HMAR_TESTS_BENCH_FCFS_POLICY_H_
