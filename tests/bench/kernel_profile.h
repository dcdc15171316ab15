#ifndef HMAR_TESTS_BENCH_KERNEL_PROFILE_H_
#define HMAR_TESTS_BENCH_KERNEL_PROFILE_H_

#include <cstdint>
#include <string>
#include <vector>

namespace hmar {

struct KernelShare {
  std::string name;    // Demangled, without arguments.
  double seconds = 0;  // On the device, all launches together.
  uint64_t launches = 0;
};

// Records every kernel of the process between Start and Stop by CUPTI's activity interface: some
// microseconds a launch, so profile and time in different runs. For one GPU at a time. Prints and
// returns nothing where CUPTI is refused.
void StartKernelProfile();

// Waits for the device. Most time first.
std::vector<KernelShare> StopKernelProfile();

}  // namespace hmar

#endif  // HMAR_TESTS_BENCH_KERNEL_PROFILE_H_
