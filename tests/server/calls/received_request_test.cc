#include "server/calls/received_request.h"

#include <grpcpp/support/slice.h>
#include <gtest/gtest.h>

#include "hmar/v1/image_generation.pb.h"
#include "server/base/errors.h"

namespace hmar {
namespace {

TEST(ReceivedRequestTest, TowardsGrpcReadingNeverFails) {
  const grpc::Slice slice("\xff");
  grpc::ByteBuffer bytes(&slice, 1);
  ReceivedRequest<v1::GetModelRequest> request;
  using Traits = grpc::SerializationTraits<ReceivedRequest<v1::GetModelRequest>>;
  EXPECT_TRUE(Traits::Deserialize(&bytes, &request).ok());
  EXPECT_EQ(ReasonName(request.status), "MESSAGE_INVALID");
  EXPECT_FALSE(bytes.Valid());
}

}  // namespace
}  // namespace hmar
