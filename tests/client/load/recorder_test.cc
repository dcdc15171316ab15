#include "client/load/recorder.h"

#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "client/load/seen.h"

namespace hmar::load {
namespace {

constexpr absl::Duration kNoWarmUp;

CallResult Ok(double due_s, double sent_s, double ended_s) {
  CallResult result;
  result.due = absl::Seconds(due_s);
  result.sent = absl::Seconds(sent_s);
  result.ended = absl::Seconds(ended_s);
  result.images = {result.ended};
  result.images_asked = 1;
  return result;
}

CallResult Failed(absl::Status status, const std::string& reason) {
  CallResult result = Ok(0, 0, 0.5);
  result.images.clear();
  result.status = std::move(status);
  result.reason = reason;
  return result;
}

TEST(RecorderTest, LatencyCountsFromWhenACallWasDueNotFromWhenItWasSent) {
  Recorder recorder({"a"}, kNoWarmUp, 0);
  recorder.Add(Ok(1, 3, 4));
  const RunReport run = recorder.Finish(absl::Seconds(3));
  EXPECT_EQ(run.all.latency_ms.max, 3000);
  EXPECT_EQ(run.late_ms.max, 2000);
}

TEST(RecorderTest, AcceptedAndPreviewsCountFromThereTooAndTheEstimateFromAccepted) {
  Recorder recorder({"a"}, kNoWarmUp, 0);
  CallResult result = Ok(1, 1, 5);
  result.accepted = absl::Seconds(3);
  result.estimated = absl::Seconds(1);
  result.first_preview = absl::Seconds(4);
  recorder.Add(result);
  const RunReport run = recorder.Finish(absl::Seconds(5));
  EXPECT_EQ(run.all.accepted_ms.p50, 2000);
  EXPECT_EQ(run.all.first_preview_ms.p50, 3000);
  EXPECT_EQ(run.all.estimate_ratio.p50, 0.5);
}

TEST(RecorderTest, TheWarmUpIsNotCountedButItsImagesSustainTheRate) {
  Recorder recorder({"a"}, absl::Seconds(2), 0);
  recorder.NotSent(0, absl::Seconds(1));
  recorder.Add(Ok(1.9, 1.9, 2.5));
  recorder.Add(Ok(2, 2, 3.5));
  recorder.Add(Ok(3, 3, 6));  // Ends after sending.
  const RunReport run = recorder.Finish(absl::Seconds(4));
  EXPECT_EQ(run.all.due, 2U);
  EXPECT_EQ(run.all.not_sent, 0U);
  EXPECT_EQ(run.all.ok, 2U);
  EXPECT_EQ(run.sending_seconds, 2);
  EXPECT_EQ(run.measured_seconds, 4);
  EXPECT_EQ(run.all.images_per_second, 0.5);
  EXPECT_EQ(run.sustained_images_per_second, 1);  // Those at 2.5 and 3.5.
  EXPECT_EQ(run.images_by_bucket, (std::vector<uint64_t>{0, 0, 1, 1, 0, 0, 1}));
}

TEST(RecorderTest, EveryEndIsCountedOnceAndOnlyAnswersHaveALatency) {
  Recorder recorder({"a", "b"}, kNoWarmUp, 0);
  recorder.Add(Ok(0, 0, 1));
  recorder.Add(Failed(absl::ResourceExhaustedError("x"), "QUEUE_FULL"));
  recorder.Add(Failed(absl::DeadlineExceededError("x"), ""));
  for (const CallEnd end : {CallEnd::kCancelled, CallEnd::kTimedOut, CallEnd::kInterrupted}) {
    CallResult result = Failed(absl::CancelledError("x"), "");
    result.end = end;
    result.kind = 1;
    recorder.Add(result);
  }
  recorder.NotSent(1, absl::Seconds(1));
  const RunReport run = recorder.Finish(absl::Seconds(1));
  const Summary& all = run.all;
  EXPECT_EQ(all.due, 7U);
  EXPECT_EQ(all.sent, 6U);
  EXPECT_EQ(all.ok + all.failed + all.cancelled + all.timed_out + all.interrupted, all.sent);
  EXPECT_EQ(all.latency_ms.count, 1U);
  EXPECT_EQ(all.refusal_ms.count, 1U);
  EXPECT_EQ(all.errors.at({"RESOURCE_EXHAUSTED", "QUEUE_FULL"}), 1U);
  EXPECT_EQ(all.errors.at({"DEADLINE_EXCEEDED", ""}), 1U);
  EXPECT_EQ(run.kinds[1].cancelled, 1U);
  EXPECT_EQ(run.kinds[1].not_sent, 1U);
  EXPECT_EQ(run.kinds[0].failed, 2U);
}

TEST(RecorderTest, GoodIsWhatIsRightAndInTime) {
  Recorder recorder({"a"}, kNoWarmUp, 1000);
  recorder.Add(Ok(0, 0.5, 1));
  recorder.Add(Ok(0, 0.5, 1.001));
  recorder.Add(Failed(absl::InternalError("x"), ""));
  CallResult wrong = Ok(0, 0, 0.1);
  wrong.mismatched = 1;
  recorder.Add(wrong);
  const RunReport run = recorder.Finish(absl::Seconds(2));
  EXPECT_EQ(run.all.good, 1U);
  EXPECT_EQ(run.all.good_per_second, 0.5);
  EXPECT_EQ(run.all.ok, 2U);
  EXPECT_EQ(run.all.errors.at({"MISMATCH", ""}), 1U);
}

TEST(RecorderTest, AServerChoosesNoMoreThanSoManyReasons) {
  Recorder recorder({"a"}, kNoWarmUp, 0);
  for (int i = 0; i < 1000; ++i) {
    recorder.Add(Failed(absl::InternalError("x"), absl::StrCat("R", i)));
  }
  const RunReport run = recorder.Finish(absl::Seconds(1));
  EXPECT_EQ(run.all.errors.size(), kMaxReasons + 1);
  EXPECT_EQ(run.all.errors.at({"OTHERS", ""}), 1000 - kMaxReasons);
}

TEST(RecorderTest, ADayOfImagesIsDrawnInAFewHundredBuckets) {
  Recorder recorder({"a"}, kNoWarmUp, 0);
  recorder.Add(Ok(0, 0, 1));
  recorder.Add(Ok(0, 0, 80'000));
  recorder.Add(Ok(0, 0, 1e9));
  const RunReport run = recorder.Finish(absl::Seconds(80'000));
  EXPECT_LE(run.images_by_bucket.size(), 300U);
  EXPECT_EQ(run.images_by_bucket.front(), 1U);
  EXPECT_EQ(run.images_by_bucket.back(), 1U);
}

TEST(SeenTest, OnlyTheServersWordIsCertain) {
  Seen seen;
  seen.Add(Ok(0, 0, 1));
  seen.Add(Failed(absl::ResourceExhaustedError("x"), "QUEUE_FULL"));
  seen.Add(Failed(absl::DeadlineExceededError("x"), ""));
  CallResult cancelled = Failed(absl::CancelledError("x"), "CANCELLED");
  cancelled.end = CallEnd::kCancelled;
  seen.Add(cancelled);
  EXPECT_EQ(seen.by_code, (std::map<std::string, uint64_t>{{"OK", 1}, {"RESOURCE_EXHAUSTED", 1}}));
  EXPECT_EQ(seen.doubtful, 2U);
  EXPECT_EQ(seen.images, 1U);
  EXPECT_EQ(seen.doubtful_images, 3U);
}

}  // namespace
}  // namespace hmar::load
