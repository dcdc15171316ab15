#ifndef HMAR_TESTS_SERVER_CALLS_REJECTIONS_H_
#define HMAR_TESTS_SERVER_CALLS_REJECTIONS_H_

#include <string>

#include "gtest/gtest.h"
#include "server/operations/metrics.h"

namespace hmar {

// How many refusals for this reason the metrics count; -1, and the test fails, if they do not know
// the reason.
inline double Rejections(const Metrics& metrics, const std::string& reason) {
  const std::string text = metrics.Text();
  const std::string series = "hmar_admission_rejected_total{reason=\"" + reason + "\"} ";
  const size_t at = text.find(series);
  EXPECT_NE(at, std::string::npos) << series;
  return at == std::string::npos ? -1 : std::stod(text.substr(at + series.size()));
}

}  // namespace hmar

#endif  // HMAR_TESTS_SERVER_CALLS_REJECTIONS_H_
