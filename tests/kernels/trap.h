#ifndef HMAR_TESTS_KERNELS_TRAP_H_
#define HMAR_TESTS_KERNELS_TRAP_H_

namespace hmar {

// Launches a kernel that traps: the process's context on the current device is lost for good.
void LoseDevice();

}  // namespace hmar

#endif  // HMAR_TESTS_KERNELS_TRAP_H_
