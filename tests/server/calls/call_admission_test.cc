#include "server/calls/call_admission.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "server/base/errors.h"
#include "tests/fakes/fake_clock.h"
#include "tests/server/calls/rejections.h"

namespace hmar {
namespace {

using ::testing::HasSubstr;

class CallAdmissionTest : public ::testing::Test {
 protected:
  // Refused for this reason, with this in the message, counted once, and with a time to wait.
  void ExpectRefused(const absl::Status& status, const std::string& reason,
                     const std::string& message, absl::Duration wait) {
    EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
    EXPECT_EQ(ReasonName(status), reason);
    EXPECT_EQ(status.message(), message);
    EXPECT_NEAR(absl::ToDoubleSeconds(RetryDelayOf(status).value_or(absl::InfiniteDuration())),
                absl::ToDoubleSeconds(wait), 1e-5);
    EXPECT_EQ(Rejections(*metrics_, reason), 1);
  }

  const std::unique_ptr<Metrics> metrics_ = *Metrics::Create({{"fake", "", "", 3}}, {}, "");
  FakeClock clock_;
  UploadReaders readers_{{1, 1600 << 10}};
  EncoderPool encoder_{{1, 1 << 20}};
  Deliveries deliveries_{{1000, 750, 500, absl::Seconds(20)}, &clock_};
  CallAdmission admission_{{{3, 2}, {1000, 600}, {5'000'000, 2'000'000}},
                           &readers_,
                           &encoder_,
                           &deliveries_,
                           &clock_,
                           metrics_.get()};
};

TEST_F(CallAdmissionTest, AClientsCallsAreFewerThanAll) {
  std::vector<Quota::Ticket> open;
  for (const char* client : {"a", "a"}) open.push_back(*admission_.AdmitCall(client));
  // Two calls that nobody has seen end are taken to last a second: one of them half of that.
  ExpectRefused(admission_.AdmitCall("a").status(), "TOO_MANY_CALLS",
                "2 calls of this client are open; at most 2", absl::Milliseconds(500));
  open.push_back(*admission_.AdmitCall("b"));
  EXPECT_EQ(admission_.AdmitCall("c").status().message(), "3 calls are open; at most 3");
  open.pop_back();
  EXPECT_TRUE(admission_.AdmitCall("c").ok());
}

TEST_F(CallAdmissionTest, AClientsUploadsAreFewerThanAll) {
  const auto first = admission_.AdmitUpload("a", 500);
  ASSERT_TRUE(first.ok());
  ExpectRefused(admission_.AdmitUpload("a", 200).status(), "UPLOAD_BACKLOG",
                "the request's upload needs 200 bytes, other uploads of this client hold 500; the "
                "limit is 600",
                absl::Milliseconds(200));
  EXPECT_EQ(admission_.most_upload_bytes(), 600u);
  const auto second = admission_.AdmitUpload("b", 500);
  ASSERT_TRUE(second.ok());
  EXPECT_EQ(admission_.upload_bytes(), 1000u);
  EXPECT_THAT(std::string(admission_.AdmitUpload("c", 1).status().message()),
              HasSubstr("other uploads hold 1000; the limit is 1000"));
}

TEST_F(CallAdmissionTest, PicturesThatWaitForTheEncoderKeepTheirClientsRequestsOutFirst) {
  const Quota::Ticket waiting = admission_.HoldPicture("a", 3'000'000);
  ExpectRefused(admission_.CheckWayOut("a"), "ENCODER_BACKLOG",
                "3000000 bytes of pictures of this client wait for the encoder; at most 2000000",
                encoder_.TimeFor(1'000'000));
  EXPECT_TRUE(admission_.CheckWayOut("b").ok());
  const Quota::Ticket more = admission_.HoldPicture("b", 2'000'001);
  EXPECT_THAT(std::string(admission_.CheckWayOut("c").message()),
              HasSubstr("5000001 bytes of pictures wait for the encoder; at most 5000000"));
}

TEST_F(CallAdmissionTest, WhatWaitsForAClientKeepsItsRequestsOutAndNoOthers) {
  Deliveries::Account account(&deliveries_);
  account.Open({}, "a");
  account.Hold(Deliveries::Holding::kRest, 999);
  // An event is taken to wait for 100 ms.
  ExpectRefused(admission_.CheckWayOut("a"), "DELIVERY_BACKLOG",
                "999 bytes of pictures of this client wait to be read; new requests are taken "
                "below 500",
                absl::Milliseconds(100) * 500 / 999);
  EXPECT_TRUE(admission_.CheckWayOut("b").ok());
}

}  // namespace
}  // namespace hmar
