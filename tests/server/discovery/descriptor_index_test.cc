#include "server/discovery/descriptor_index.h"

#include <gmock/gmock.h>
#include <google/protobuf/descriptor.pb.h>
#include <grpcpp/support/status.h>
#include <gtest/gtest.h>

#include <set>
#include <string>
#include <vector>

#include "grpc/health/v1/health.pb.h"
#include "hmar/v1/image_generation.pb.h"

namespace hmar {
namespace {

using grpc::reflection::v1::ServerReflectionRequest;
using grpc::reflection::v1::ServerReflectionResponse;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::Not;

constexpr char kApi[] = "hmar/v1/image_generation.proto";
constexpr char kHealth[] = "grpc/health/v1/health.proto";

class DescriptorIndexTest : public ::testing::Test {
 protected:
  ServerReflectionResponse Symbol(const std::string& name) {
    ServerReflectionRequest request;
    request.set_file_containing_symbol(name);
    return index_.Answer(request, &sent_);
  }
  ServerReflectionResponse File(const std::string& name) {
    ServerReflectionRequest request;
    request.set_file_by_filename(name);
    return index_.Answer(request, &sent_);
  }

  const DescriptorIndex index_{{v1::GenerateRequest::descriptor()->file(),
                                grpc::health::v1::HealthCheckRequest::descriptor()->file()}};
  std::set<std::string> sent_;
};

std::vector<std::string> FilesIn(const ServerReflectionResponse& response) {
  std::vector<std::string> names;
  for (const std::string& bytes : response.file_descriptor_response().file_descriptor_proto()) {
    google::protobuf::FileDescriptorProto file;
    EXPECT_TRUE(file.ParseFromString(bytes));
    names.push_back(file.name());
  }
  return names;
}

int ErrorIn(const ServerReflectionResponse& response) {
  return response.error_response().error_code();
}

TEST_F(DescriptorIndexTest, ListsItsServices) {
  ServerReflectionRequest request;
  request.set_list_services("");
  const ServerReflectionResponse response = index_.Answer(request, &sent_);
  ASSERT_EQ(response.list_services_response().service_size(), 2);
  EXPECT_EQ(response.list_services_response().service(0).name(), "hmar.v1.ImageGenerationService");
  EXPECT_EQ(response.list_services_response().service(1).name(), "grpc.health.v1.Health");
}

TEST_F(DescriptorIndexTest, FindsEveryKindOfSymbol) {
  for (const char* name :
       {"grpc.health.v1.Health", "grpc.health.v1.Health.Watch", "grpc.health.v1.HealthCheckRequest",
        "grpc.health.v1.HealthCheckRequest.service", "grpc.health.v1.HealthCheckResponse",
        "grpc.health.v1.HealthCheckResponse.ServingStatus",
        "grpc.health.v1.HealthCheckResponse.SERVING"}) {
    EXPECT_THAT(FilesIn(Symbol(name)), ElementsAre(kHealth)) << name;
  }
}

TEST_F(DescriptorIndexTest, AFileComesWithWhatItImportsOnce) {
  const std::vector<std::string> first = FilesIn(File(kApi));
  EXPECT_EQ(first.front(), kApi);
  EXPECT_GT(first.size(), 1u);
  EXPECT_THAT(first, Contains("google/protobuf/duration.proto"));
  EXPECT_THAT(FilesIn(File(kApi)), ElementsAre(kApi));  // Asked for again, sent again: it alone.
}

TEST_F(DescriptorIndexTest, WhatItDoesNotKnowIsNotFoundAndIsSaidBack) {
  const ServerReflectionResponse symbol = Symbol("no.such.Symbol");
  EXPECT_EQ(ErrorIn(symbol), grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(symbol.original_request().file_containing_symbol(), "no.such.Symbol");
  EXPECT_EQ(ErrorIn(File("/etc/passwd")), grpc::StatusCode::NOT_FOUND);
  EXPECT_THAT(sent_, Not(Contains("/etc/passwd")));
}

TEST_F(DescriptorIndexTest, AMessageHasNoExtensions) {
  ServerReflectionRequest request;
  request.set_all_extension_numbers_of_type("hmar.v1.GenerateRequest");
  const ServerReflectionResponse none = index_.Answer(request, &sent_);
  EXPECT_EQ(none.all_extension_numbers_response().base_type_name(), "hmar.v1.GenerateRequest");
  EXPECT_EQ(none.all_extension_numbers_response().extension_number_size(), 0);
  request.mutable_file_containing_extension()->set_containing_type("hmar.v1.GenerateRequest");
  EXPECT_EQ(ErrorIn(index_.Answer(request, &sent_)), grpc::StatusCode::NOT_FOUND);
}

TEST_F(DescriptorIndexTest, ARequestForNothingIsAnError) {
  EXPECT_EQ(ErrorIn(index_.Answer(ServerReflectionRequest(), &sent_)),
            grpc::StatusCode::INVALID_ARGUMENT);
}

}  // namespace
}  // namespace hmar
