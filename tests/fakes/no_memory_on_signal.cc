// For LD_PRELOAD: a server whose models run out of memory. From a SIGRTMIN on, until the next one,
// one in HMAR_TEST_NO_MEMORY_ONE_IN (default 1000) aligned allocations of 16 KiB and more fails,
// here and there: those of LibTorch's tensors on the CPU. Nothing else of the server's asks for
// aligned memory of that size.

#include <dlfcn.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstdlib>

namespace {

constexpr size_t kLeastBytes = 16384;

std::atomic<bool> scarce = false;
std::atomic<uint64_t> counter = 0;
uint64_t one_in = 1000;

// splitmix64's finaliser: which allocations fail has no rhythm.
uint64_t Mix(uint64_t x) {
  x += 0x9e3779b97f4a7c15;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
  x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
  return x ^ (x >> 31);
}

__attribute__((constructor)) void Prepare() {
  const char* const text = std::getenv("HMAR_TEST_NO_MEMORY_ONE_IN");
  if (text != nullptr) one_in = std::strtoull(text, nullptr, 10);
  if (one_in == 0) one_in = 1;
  std::signal(SIGRTMIN, [](int) { scarce = !scarce; });
}

}  // namespace

extern "C" int posix_memalign(void** memory, size_t alignment, size_t bytes) noexcept {
  using Real = int (*)(void**, size_t, size_t);
  static const auto real = reinterpret_cast<Real>(dlsym(RTLD_NEXT, "posix_memalign"));
  if (bytes >= kLeastBytes && scarce && Mix(counter++) % one_in == 0) return ENOMEM;
  return real(memory, alignment, bytes);
}
