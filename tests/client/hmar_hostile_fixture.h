#ifndef HMAR_TESTS_CLIENT_HMAR_HOSTILE_FIXTURE_H_
#define HMAR_TESTS_CLIENT_HMAR_HOSTILE_FIXTURE_H_

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "client/printable.h"
#include "tests/client/hmar_fixture.h"

namespace hmar {

// A tenth of it is what `hmar` takes for an answer that is no attack.
inline constexpr size_t kMaxPeakBytes = size_t{300} << 20;

// Clears the screen, sets the title, returns, turns the order round, hides, ends the line.
inline constexpr char kTerminal[] =
    "a\x1b[2J\x1b]0;t\x07\r\x7f\xc2\x9b\xe2\x80\xae\xe2\x80\x8b\xef\xbb\xbf\xe2\x80\xa8\nhmar: b";

inline void ExpectFitToPrint(const std::string& text) { EXPECT_EQ(text, PrintableLines(text)); }

// The program against servers that mean it harm.
class HmarHostileTest : public HmarTest {
 protected:
  // Runs to its end; checks that nothing reached the terminal raw, and that memory was bounded.
  ProcessResult Attack(const std::vector<std::string>& arguments,
                       size_t max_peak_bytes = kMaxPeakBytes) {
    ProcessResult result = Run(arguments);
    ExpectFitToPrint(result.out);
    ExpectFitToPrint(result.error);
    EXPECT_LT(result.out.size() + result.error.size(), 1 << 20);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    EXPECT_LT(result.peak_bytes, max_peak_bytes);
#endif
    return result;
  }
};

}  // namespace hmar

#endif  // HMAR_TESTS_CLIENT_HMAR_HOSTILE_FIXTURE_H_
