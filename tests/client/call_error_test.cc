#include "client/call_error.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"

namespace hmar {
namespace {

google::rpc::ErrorInfo Reason(const std::string& reason) {
  google::rpc::ErrorInfo info;
  info.set_domain("hmar.v1");
  info.set_reason(reason);
  return info;
}

template <typename... Details>
grpc::Status WithDetails(grpc::StatusCode code, const std::string& message,
                         const Details&... details) {
  google::rpc::Status status;
  status.set_code(code);
  status.set_message(message);
  (status.add_details()->PackFrom(details), ...);
  return {code, message, status.SerializeAsString()};
}

TEST(CallErrorTest, OkStaysOk) { EXPECT_TRUE(StatusFromGrpc(grpc::Status::OK).ok()); }

TEST(CallErrorTest, EveryCodeKeepsItsMeaning) {
  for (int code = 1; code <= 16; ++code) {
    const absl::Status status =
        StatusFromGrpc(grpc::Status(static_cast<grpc::StatusCode>(code), "text"));
    EXPECT_EQ(static_cast<int>(status.code()), code);
    EXPECT_EQ(status.message(), "text");
  }
}

TEST(CallErrorTest, FieldViolationsFollowTheMessageOneALine) {
  google::rpc::BadRequest bad;
  auto* violation = bad.add_field_violations();
  violation->set_field("sampling.top_p");
  violation->set_description("was 1.5, must be in (0, 1]");
  violation = bad.add_field_violations();
  violation->set_field("num_images");
  violation->set_description("was 100000, at most 64");
  const absl::Status status = StatusFromGrpc(WithDetails(
      grpc::StatusCode::INVALID_ARGUMENT, "2 fields are wrong", Reason("INVALID_FIELD"), bad));
  EXPECT_EQ(status.message(),
            "2 fields are wrong [INVALID_FIELD]\n"
            "  sampling.top_p: was 1.5, must be in (0, 1]\n"
            "  num_images: was 100000, at most 64");
  EXPECT_EQ(ErrorReason(status), "INVALID_FIELD");
}

TEST(CallErrorTest, RetryDelayIsReadableByPeopleAndPrograms) {
  google::rpc::RetryInfo retry;
  retry.mutable_retry_delay()->set_seconds(2);
  retry.mutable_retry_delay()->set_nanos(500'000'000);
  const absl::Status status = StatusFromGrpc(WithDetails(
      grpc::StatusCode::RESOURCE_EXHAUSTED, "the queue is full", Reason("QUEUE_FULL"), retry));
  EXPECT_EQ(status.message(), "the queue is full [QUEUE_FULL]\n  retry in 2.5s");
  EXPECT_EQ(RetryDelay(status), absl::Milliseconds(2500));
}

TEST(CallErrorTest, MissingResourceIsNamed) {
  google::rpc::ResourceInfo resource;
  resource.set_resource_type("model");
  resource.set_resource_name("d99");
  resource.set_description("the server has: d16");
  const absl::Status status =
      StatusFromGrpc(WithDetails(grpc::StatusCode::NOT_FOUND, "no such model", resource));
  EXPECT_EQ(status.message(), "no such model\n  model 'd99': the server has: d16");
  EXPECT_EQ(ErrorReason(status), "");
  EXPECT_EQ(RetryDelay(status), std::nullopt);
}

TEST(CallErrorTest, DetailsThatAreNoneAreLeftOut) {
  const absl::Status status =
      StatusFromGrpc({grpc::StatusCode::INTERNAL, "broken", std::string("\xff\xff\xff garbage")});
  EXPECT_EQ(status, absl::InternalError("broken"));
}

TEST(CallErrorTest, ADamagedDetailIsLeftOut) {
  google::rpc::Status damaged;
  auto* any = damaged.add_details();
  any->set_type_url("type.googleapis.com/google.rpc.ErrorInfo");
  any->set_value("\xff\xff\xff");
  const absl::Status status =
      StatusFromGrpc({grpc::StatusCode::INTERNAL, "broken", damaged.SerializeAsString()});
  EXPECT_EQ(status.message(), "broken");
  EXPECT_EQ(ErrorReason(status), "");
}

TEST(CallErrorTest, WhateverTheServerSaysIsFitToPrintOnLinesOfOurs) {
  google::rpc::BadRequest bad;
  auto* violation = bad.add_field_violations();
  violation->set_field("f\x1b[2J");
  violation->set_description("d\nhmar: OK");
  google::rpc::ResourceInfo resource;
  resource.set_resource_type("t\r");
  resource.set_resource_name("n\xe2\x80\xae");
  resource.set_description("d\t");
  const absl::Status status = StatusFromGrpc(
      WithDetails(grpc::StatusCode::NOT_FOUND, "m\x1b]0;t\x07\n", Reason("R\x1b"), bad, resource));
  EXPECT_EQ(status.message(),
            "m\\u001B]0;t\\u0007\\n\n"
            "  f\\u001B[2J: d\\nhmar: OK\n"
            "  t\\r 'n\\u202E': d\\t");
  EXPECT_EQ(ErrorReason(status), "");
}

TEST(CallErrorTest, BytesThatAreNoTextAreFitToPrintToo) {
  EXPECT_EQ(StatusFromGrpc({grpc::StatusCode::INTERNAL, "m\xff"}), absl::InternalError("m\\xFF"));
}

TEST(CallErrorTest, AReasonIsShortAndOfCapitals) {
  for (const char* reason : {"QUEUE FULL", "queue_full", "A\nB", "\xe2\x80\xae"}) {
    EXPECT_EQ(
        ErrorReason(StatusFromGrpc(WithDetails(grpc::StatusCode::INTERNAL, "m", Reason(reason)))),
        "");
  }
  const std::string longest(63, 'A');
  EXPECT_EQ(
      ErrorReason(StatusFromGrpc(WithDetails(grpc::StatusCode::INTERNAL, "m", Reason(longest)))),
      longest);
  EXPECT_EQ(ErrorReason(StatusFromGrpc(
                WithDetails(grpc::StatusCode::INTERNAL, "m", Reason(longest + "A")))),
            "");
}

TEST(CallErrorTest, ViolationsBeyondAHundredAreCounted) {
  google::rpc::BadRequest bad;
  for (int i = 0; i < 103; ++i) bad.add_field_violations()->set_field("f");
  const absl::Status status =
      StatusFromGrpc(WithDetails(grpc::StatusCode::INVALID_ARGUMENT, "m", bad));
  std::string wanted = "m";
  for (int i = 0; i < 100; ++i) wanted += "\n  f: ";
  EXPECT_EQ(status.message(), wanted + "\n  and 3 more");
}

TEST(CallErrorTest, LongTextsAreCut) {
  google::rpc::BadRequest bad;
  bad.add_field_violations()->set_description(std::string(30'000, 'd'));
  const absl::Status status = StatusFromGrpc(
      WithDetails(grpc::StatusCode::INVALID_ARGUMENT, std::string(30'000, 'm'), bad));
  EXPECT_EQ(status.message(),
            std::string(1021, 'm') + "...\n  : " + std::string(1021, 'd') + "...");
}

TEST(CallErrorTest, DetailsOverTheirLimitsAreLeftOut) {
  google::rpc::ErrorInfo large = Reason("QUEUE_FULL");
  large.set_domain(std::string(70'000, 'd'));
  EXPECT_EQ(StatusFromGrpc(WithDetails(grpc::StatusCode::INTERNAL, "m", large)),
            absl::InternalError("m"));

  google::rpc::Status many;
  for (int i = 0; i < 1000; ++i) many.add_details()->set_type_url(std::to_string(i));
  const absl::Status status =
      StatusFromGrpc({grpc::StatusCode::INTERNAL, "m", many.SerializeAsString()});
  int payloads = 0;
  status.ForEachPayload([&payloads](absl::string_view, const absl::Cord&) { ++payloads; });
  EXPECT_EQ(payloads, 16);
}

TEST(CallErrorTest, RetryDelaysAreFromNoneToAnHour) {
  for (const auto& [seconds, wanted] :
       std::vector<std::pair<int64_t, absl::Duration>>{{-5, absl::ZeroDuration()},
                                                       {3600, absl::Hours(1)},
                                                       {3601, absl::Hours(1)},
                                                       {INT64_MAX, absl::Hours(1)},
                                                       {INT64_MIN, absl::ZeroDuration()}}) {
    google::rpc::RetryInfo retry;
    retry.mutable_retry_delay()->set_seconds(seconds);
    EXPECT_EQ(RetryDelay(StatusFromGrpc(WithDetails(grpc::StatusCode::UNAVAILABLE, "m", retry))),
              wanted);
  }
}

}  // namespace
}  // namespace hmar
