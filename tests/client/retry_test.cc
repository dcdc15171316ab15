// When a call that failed is tried again, with a clock moved by hand: no test waits.

#include "client/retry.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/cord.h"
#include "google/rpc/error_details.pb.h"

namespace hmar {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

absl::Status Failure(absl::StatusCode code, const std::string& reason = "",
                     std::optional<int64_t> retry_seconds = std::nullopt) {
  absl::Status status(code, "as told");
  if (!reason.empty()) {
    google::rpc::ErrorInfo info;
    info.set_reason(reason);
    info.set_domain("hmar.v1");
    status.SetPayload("type.googleapis.com/google.rpc.ErrorInfo",
                      absl::Cord(info.SerializeAsString()));
  }
  if (retry_seconds.has_value()) {
    google::rpc::RetryInfo info;
    info.mutable_retry_delay()->set_seconds(*retry_seconds);
    status.SetPayload("type.googleapis.com/google.rpc.RetryInfo",
                      absl::Cord(info.SerializeAsString()));
  }
  return status;
}

const absl::Status kDraining = Failure(absl::StatusCode::kUnavailable, "DRAINING", 2);
const absl::Status kCutOff = Failure(absl::StatusCode::kUnknown);

std::vector<absl::Duration> Waits(const RetryPolicy& policy, const absl::Status& failure,
                                  double dice = 0) {
  RetrySchedule schedule(policy, [dice] { return dice; });
  std::vector<absl::Duration> waits;
  while (const auto wait = schedule.WaitAfter(failure)) waits.push_back(*wait);
  return waits;
}

TEST(MayPassTest, WhatIsFullGoingDownOrCutOffMayPass) {
  EXPECT_TRUE(MayPass(Failure(absl::StatusCode::kUnavailable)));
  EXPECT_TRUE(MayPass(Failure(absl::StatusCode::kUnavailable, "DEVICE_LOST", 1)));
  EXPECT_TRUE(MayPass(Failure(absl::StatusCode::kResourceExhausted, "QUEUE_FULL", 1)));
  EXPECT_TRUE(MayPass(Failure(absl::StatusCode::kInternal)));   // RST_STREAM, by Envoy.
  EXPECT_TRUE(MayPass(Failure(absl::StatusCode::kUnknown)));    // No trailers, by HAProxy.
  EXPECT_TRUE(MayPass(Failure(absl::StatusCode::kCancelled)));  // A port that closes.
}

TEST(MayPassTest, WhatTheServerSaysOfTheRequestDoesNot) {
  EXPECT_FALSE(MayPass(absl::OkStatus()));
  EXPECT_FALSE(MayPass(Failure(absl::StatusCode::kInternal, "GENERATION_FAILED")));
  EXPECT_FALSE(MayPass(Failure(absl::StatusCode::kCancelled, "CANCELLED")));
  EXPECT_FALSE(MayPass(Failure(absl::StatusCode::kResourceExhausted)));
  EXPECT_FALSE(MayPass(Failure(absl::StatusCode::kInvalidArgument, "FIELD_MISSING")));
  EXPECT_FALSE(MayPass(Failure(absl::StatusCode::kDeadlineExceeded)));
  EXPECT_FALSE(MayPass(Failure(absl::StatusCode::kDataLoss)));
}

TEST(RetryScheduleTest, WaitsDoubleUpToALimitAndTriesEnd) {
  const RetryPolicy policy{
      .retries = 5, .first_wait = absl::Seconds(1), .longest_wait = absl::Seconds(3)};
  EXPECT_THAT(Waits(policy, kCutOff),
              ElementsAre(absl::Seconds(1), absl::Seconds(2), absl::Seconds(3), absl::Seconds(3),
                          absl::Seconds(3)));
}

TEST(RetryScheduleTest, AnyNumberOfTriesHasFiniteWaits) {
  const RetryPolicy policy{.retries = std::numeric_limits<uint32_t>::max()};
  EXPECT_EQ(Waits(policy, kCutOff).size(), 15);  // 0.2, 0.4 ... 3.2, then 5 s: 56 of 60.
}

TEST(RetryScheduleTest, TheServersWishIsHonouredWithinTheBudget) {
  const RetryPolicy policy{.retries = 9, .budget = absl::Seconds(5)};
  EXPECT_THAT(Waits(policy, kDraining), ElementsAre(absl::Seconds(2), absl::Seconds(2)));
  EXPECT_THAT(Waits(policy, Failure(absl::StatusCode::kUnavailable, "DRAINING", 6)), IsEmpty());
}

TEST(RetryScheduleTest, JitterMakesWaitsLongerOnly) {
  const RetryPolicy policy{.retries = 1, .jitter = 0.5};
  EXPECT_THAT(Waits(policy, kDraining, 0.5), ElementsAre(absl::Seconds(2.5)));
  EXPECT_THAT(Waits(policy, kDraining, 1), ElementsAre(absl::Seconds(3)));
}

TEST(RetryScheduleTest, WithoutRetriesThereIsNone) {
  EXPECT_THAT(Waits({.retries = 0}, kDraining), IsEmpty());
}

v1::GenerateResponse Accepted(uint64_t seed) {
  v1::GenerateResponse event;
  event.mutable_accepted()->set_seed(seed);
  event.mutable_accepted()->set_model("tiny");
  return event;
}

v1::GenerateResponse Preview(uint32_t index, uint32_t scale) {
  v1::GenerateResponse event;
  event.mutable_preview()->set_image_index(index);
  event.mutable_preview()->set_scale(scale);
  return event;
}

v1::GenerateResponse Image(uint32_t index) {
  v1::GenerateResponse event;
  event.mutable_image()->set_image_index(index);
  return event;
}

// A server that answers each try by the next of its scripts, a callback that writes down what it
// gets, and a clock that only waits move.
class GenerateWithRetriesTest : public testing::Test {
 protected:
  struct Script {
    std::vector<v1::GenerateResponse> events;
    absl::Status status;
  };

  absl::Status Run(v1::GenerateRequest request = {}, const CallOptions& options = {}) {
    const auto generate = [this](const v1::GenerateRequest& sent,
                                 const Client::EventCallback& on_event, const CallOptions& of_try) {
      requests_.push_back(sent);
      timeouts_.push_back(of_try.timeout);
      now_ += try_takes_;
      const Script script = scripts_.at(requests_.size() - 1);
      for (const v1::GenerateResponse& event : script.events) {
        if (absl::Status status = on_event(event); !status.ok()) return status;
      }
      return script.status;
    };
    const auto on_event = [this](const v1::GenerateResponse& event) {
      events_ += event.has_accepted()  ? "A"
                 : event.has_preview() ? "p" + std::to_string(event.preview().image_index())
                                       : "I" + std::to_string(event.image().image_index());
      return callback_status_;
    };
    return GenerateWithRetries(generate, std::move(request), on_event, options, retrying_);
  }

  absl::Time now_ = absl::UnixEpoch();
  absl::Duration try_takes_ = absl::Seconds(1);
  std::vector<Script> scripts_;
  absl::Status callback_status_;
  Canceller canceller_;
  std::vector<absl::Duration> waits_;
  int told_ = 0;
  Retrying retrying_{.policy = {},
                     .on_retry = [this](const absl::Status&, absl::Duration) { ++told_; },
                     .now = [this] { return now_; },
                     .wait =
                         [this](absl::Duration wait) {
                           now_ += wait;
                           waits_.push_back(wait);
                           return !canceller_.cancelled();
                         },
                     .dice = [] { return 0; }};

  // What came of it.
  std::vector<v1::GenerateRequest> requests_;
  std::vector<absl::Duration> timeouts_;
  std::string events_;
};

TEST_F(GenerateWithRetriesTest, WhatWasCutOffGoesOnWithWhatIsMissing) {
  scripts_ = {{{Accepted(7), Preview(0, 0), Image(1)}, kCutOff},
              {{Accepted(7), Preview(0, 0), Preview(0, 1), Image(1), Image(0)}, absl::OkStatus()}};
  EXPECT_TRUE(Run().ok());
  EXPECT_EQ(events_, "Ap0I1Ap0I0");
  EXPECT_EQ(told_, 1);
}

TEST_F(GenerateWithRetriesTest, ASeedThatTheServerDrewIsKeptAndSoIsItsModel) {
  scripts_ = {{{}, kDraining}, {{Accepted(7)}, kCutOff}, {{Accepted(7), Image(0)}, {}}};
  EXPECT_TRUE(Run().ok());
  ASSERT_EQ(requests_.size(), 3);
  EXPECT_FALSE(requests_[1].has_seed());  // Nobody has accepted it yet.
  EXPECT_TRUE(requests_[2].has_seed());
  EXPECT_EQ(requests_[2].seed(), 7);
  EXPECT_EQ(requests_[2].model(), "tiny");
}

TEST_F(GenerateWithRetriesTest, TheDeadlineIsThatOfAllTries) {
  scripts_ = {{{}, kDraining}, {{}, kDraining}, {{}, kDraining}};
  EXPECT_EQ(Run({}, {.timeout = absl::Seconds(5)}).code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(timeouts_, ElementsAre(absl::Seconds(5), absl::Seconds(2)));
  EXPECT_THAT(waits_, ElementsAre(absl::Seconds(2)));  // A second one would end after it.
}

TEST_F(GenerateWithRetriesTest, TheCallbacksErrorIsNotTriedAgain) {
  scripts_ = {{{Accepted(7), Image(0)}, {}}};
  callback_status_ = absl::UnknownError("the disk is full");
  EXPECT_EQ(Run(), callback_status_);
  EXPECT_EQ(requests_.size(), 1);
}

TEST_F(GenerateWithRetriesTest, NeitherIsACallThatWasCancelled) {
  canceller_.Cancel();
  scripts_ = {{{}, Failure(absl::StatusCode::kCancelled)}};
  EXPECT_EQ(Run({}, {.canceller = &canceller_}).code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(told_, 0);
}

TEST_F(GenerateWithRetriesTest, AWaitThatIsCancelledIsTheLast) {
  scripts_ = {{{}, kDraining}};
  retrying_.wait = [](absl::Duration) { return false; };
  EXPECT_EQ(Run({}, {.canceller = &canceller_}), kDraining);
  EXPECT_EQ(requests_.size(), 1);
}

TEST_F(GenerateWithRetriesTest, WhatDoesNotPassIsReturnedAtOnceAndTheLastErrorOfAllTries) {
  scripts_ = {{{}, kDraining}, {{}, Failure(absl::StatusCode::kInvalidArgument, "UNKNOWN_CLASS")}};
  EXPECT_EQ(Run().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(requests_.size(), 2);
}

TEST(CancellerTest, AWaitEndsWhenItIsCancelled) {
  Canceller canceller;
  EXPECT_FALSE(canceller.AwaitCancel(absl::ZeroDuration()));
  canceller.Cancel();
  EXPECT_TRUE(canceller.AwaitCancel(absl::InfiniteDuration()));
}

}  // namespace
}  // namespace hmar
