// For LD_PRELOAD: a server that gets SIGUSR1 loses its device, as by a kernel's bug.

#include <csignal>

#include "tests/kernels/trap.h"

namespace {

__attribute__((constructor)) void TrapOnSignal() {
  std::signal(SIGUSR1, [](int) { hmar::LoseDevice(); });
}

}  // namespace
