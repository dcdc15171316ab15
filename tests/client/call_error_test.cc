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

}  // namespace
}  // namespace hmar
