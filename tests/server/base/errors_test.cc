#include "server/base/errors.h"

#include <gtest/gtest.h>

namespace hmar {
namespace {

TEST(ErrorsTest, EveryReasonComesBackWithItsCode) {
  for (const ReasonRow& row : ReasonTable()) {
    const absl::Status status = ErrorOf(row.reason, "why");
    EXPECT_EQ(status.code(), row.code) << row.name;
    EXPECT_EQ(ReasonOf(status), row.reason) << row.name;
    EXPECT_EQ(ReasonName(status), row.name);
  }
}

TEST(ErrorsTest, AStatusWithoutAReasonHasItsCodes) {
  EXPECT_EQ(ReasonName(absl::DeadlineExceededError("late")), "DEADLINE_EXCEEDED");
  EXPECT_EQ(ReasonName(absl::DataLossError("odd")), "INTERNAL");
  EXPECT_EQ(ReasonName(absl::OkStatus()), "");
}

TEST(ErrorsTest, ARetryDelayStaysWhenTheReasonChanges) {
  EXPECT_EQ(RetryDelayOf(ErrorOf(Reason::kQueueFull, "full")), std::nullopt);
  const absl::Status full = RetryAfter(ErrorOf(Reason::kQueueFull, "full"), absl::Seconds(3));
  EXPECT_EQ(RetryDelayOf(full), absl::Seconds(3));
  const absl::Status renamed = WithReason(full, Reason::kOutOfMemory);
  EXPECT_EQ(ReasonOf(renamed), Reason::kOutOfMemory);
  EXPECT_EQ(RetryDelayOf(renamed), absl::Seconds(3));
}

}  // namespace
}  // namespace hmar
