#ifndef HMAR_TESTS_FUZZ_REQUIRE_H_
#define HMAR_TESTS_FUZZ_REQUIRE_H_

#include <cstdio>
#include <cstdlib>

namespace hmar {

// Ends the program, which the fuzzer reports with its input, unless `holds`.
inline void Require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "violated: %s\n", what);
  std::abort();
}

}  // namespace hmar

#endif  // HMAR_TESTS_FUZZ_REQUIRE_H_
