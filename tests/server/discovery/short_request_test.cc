#include "server/discovery/short_request.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "grpc/health/v1/health.pb.h"

namespace hmar {
namespace {

using ::testing::HasSubstr;

grpc::ByteBuffer Bytes(const std::string& text) {
  const grpc::Slice slice(text);
  return grpc::ByteBuffer(&slice, 1);
}

// A HealthCheckRequest whose service is `length` letters.
std::string NameOf(size_t length) {
  grpc::health::v1::HealthCheckRequest request;
  request.set_service(std::string(length, 'x'));
  return request.SerializeAsString();
}

TEST(ShortRequestTest, ReadsWhatIsWithinTheLimit) {
  const std::string bytes = NameOf(kMaxShortRequestBytes - 3);  // Tag and length take three.
  ASSERT_EQ(bytes.size(), kMaxShortRequestBytes);
  grpc::health::v1::HealthCheckRequest request;
  EXPECT_TRUE(ReadShortRequest(Bytes(bytes), &request).ok());
  EXPECT_EQ(request.service().size(), kMaxShortRequestBytes - 3);
}

TEST(ShortRequestTest, RefusesOneByteMoreAndNamesBoth) {
  grpc::health::v1::HealthCheckRequest request;
  request.set_service("before");
  const grpc::Status status = ReadShortRequest(Bytes(NameOf(kMaxShortRequestBytes - 2)), &request);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(status.error_message(), HasSubstr("4097"));
  EXPECT_THAT(status.error_message(), HasSubstr("4096"));
  EXPECT_EQ(request.service(), "");
}

TEST(ShortRequestTest, RefusesWhatIsNoMessage) {
  grpc::health::v1::HealthCheckRequest request;
  const grpc::Status status = ReadShortRequest(Bytes("\x0a\x7fshort"), &request);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(status.error_message(), HasSubstr("grpc.health.v1.HealthCheckRequest"));
}

TEST(ShortRequestTest, ForgetsFieldsThatItDoesNotKnow) {
  std::string bytes = NameOf(3);
  for (int i = 0; i < 1000; ++i) bytes += std::string("\xd2\x05\x00", 3);  // Field 90, empty.
  grpc::health::v1::HealthCheckRequest request;
  const size_t empty = request.SpaceUsedLong();
  EXPECT_TRUE(ReadShortRequest(Bytes(bytes), &request).ok());
  EXPECT_EQ(request.service(), "xxx");
  EXPECT_LE(request.SpaceUsedLong(), empty + 200);
}

TEST(ShortRequestTest, NothingIsTheEmptyMessage) {
  grpc::health::v1::HealthCheckRequest request;
  EXPECT_TRUE(ReadShortRequest(Bytes(""), &request).ok());
  EXPECT_EQ(request.service(), "");
}

}  // namespace
}  // namespace hmar
