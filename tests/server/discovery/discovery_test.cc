// Health and reflection on a gRPC server of their own.

#include <gmock/gmock.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "grpc/reflection/v1/reflection.grpc.pb.h"
#include "grpc/reflection/v1alpha/reflection.grpc.pb.h"
#include "server/discovery/health_service.h"
#include "server/discovery/reflection_services.h"

namespace hmar {
namespace {

using grpc::health::v1::HealthCheckRequest;
using grpc::health::v1::HealthCheckResponse;
using grpc::reflection::v1::ServerReflectionRequest;
using grpc::reflection::v1::ServerReflectionResponse;
using ::testing::HasSubstr;

constexpr char kReadiness[] = "some.v1.Service";
constexpr absl::Duration kPatience = absl::Seconds(60);
constexpr uint32_t kArriving = 3;

class DiscoveryTest : public ::testing::Test {
 protected:
  void Start(absl::Duration limit = kPatience) {
    health_ = std::make_unique<HealthService>(kReadiness, ReceiveLimits{limit, kArriving});
    reflection_ = std::make_unique<ReflectionServices>(
        std::vector{HealthCheckRequest::descriptor()->file()}, limit);
    grpc::ServerBuilder builder;
    builder.RegisterService(health_.get());
    for (grpc::Service* version : reflection_->services()) builder.RegisterService(version);
    int port = 0;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
    server_ = builder.BuildAndStart();
    ASSERT_NE(server_, nullptr);
    channel_ =
        grpc::CreateChannel(absl::StrCat("127.0.0.1:", port), grpc::InsecureChannelCredentials());
  }
  void TearDown() override {
    if (server_ != nullptr) server_->Shutdown(std::chrono::system_clock::now());
  }

  std::unique_ptr<grpc::ClientContext> NewContext() const {
    auto context = std::make_unique<grpc::ClientContext>();
    context->set_deadline(absl::ToChronoTime(absl::Now() + kPatience));
    return context;
  }
  grpc::Status Check(const std::string& service, HealthCheckResponse* response) const {
    const auto context = NewContext();
    HealthCheckRequest request;
    request.set_service(service);
    return grpc::health::v1::Health::NewStub(channel_)->Check(context.get(), request, response);
  }

  std::unique_ptr<HealthService> health_;
  std::unique_ptr<ReflectionServices> reflection_;
  std::unique_ptr<grpc::Server> server_;
  std::shared_ptr<grpc::Channel> channel_;
};

// An open Watch.
struct Watch {
  Watch(const std::shared_ptr<grpc::Channel>& channel, const std::string& service)
      : stub(grpc::health::v1::Health::NewStub(channel)) {
    HealthCheckRequest request;
    request.set_service(service);
    reader = stub->Watch(&context, request);
  }
  HealthCheckResponse::ServingStatus Next() {
    HealthCheckResponse response;
    EXPECT_TRUE(reader->Read(&response));
    return response.status();
  }
  grpc::Status End() {
    for (HealthCheckResponse response; reader->Read(&response);) {
    }
    return reader->Finish();
  }

  std::unique_ptr<grpc::health::v1::Health::Stub> stub;
  grpc::ClientContext context;
  std::unique_ptr<grpc::ClientReader<HealthCheckResponse>> reader;
};

TEST_F(DiscoveryTest, TheProcessServesAndReadinessFollows) {
  Start();
  HealthCheckResponse response;
  EXPECT_TRUE(Check("", &response).ok());
  EXPECT_EQ(response.status(), HealthCheckResponse::SERVING);
  EXPECT_TRUE(Check(kReadiness, &response).ok());
  EXPECT_EQ(response.status(), HealthCheckResponse::NOT_SERVING);
  health_->SetReady();
  EXPECT_TRUE(Check(kReadiness, &response).ok());
  EXPECT_EQ(response.status(), HealthCheckResponse::SERVING);
}

// A call that sends nothing, not even the end of its request.
struct SilentCall {
  SilentCall(const std::shared_ptr<grpc::Channel>& channel, grpc::CompletionQueue* queue)
      : stub(channel), call(stub.PrepareCall(&context, "/grpc.health.v1.Health/Check", queue)) {
    call->StartCall(nullptr);
    call->Finish(&status, this);
  }

  grpc::GenericStub stub;
  grpc::ClientContext context;
  grpc::Status status;
  std::unique_ptr<grpc::GenericClientAsyncReaderWriter> call;
};

TEST_F(DiscoveryTest, CallsOfOneConnectionThatSendNoRequestAreBounded) {
  Start();
  grpc::CompletionQueue queue;
  std::vector<std::unique_ptr<SilentCall>> calls;
  for (uint32_t i = 0; i < kArriving + 2; ++i) {
    calls.push_back(std::make_unique<SilentCall>(channel_, &queue));
  }
  const auto next_end = [&queue] {
    void* tag = nullptr;
    for (bool ok = false; tag == nullptr && queue.Next(&tag, &ok);) {
    }
    return static_cast<SilentCall*>(tag);
  };
  for (int refused = 0; refused < 2; ++refused) {
    const grpc::Status status = next_end()->status;
    EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
    EXPECT_THAT(status.error_message(), HasSubstr("3 calls of this connection"));
  }
  for (const auto& call : calls) call->context.TryCancel();
  for (uint32_t left = 0; left < kArriving; ++left) {
    EXPECT_EQ(next_end()->status.error_code(), grpc::StatusCode::CANCELLED);
  }
  HealthCheckResponse response;
  EXPECT_TRUE(Check("", &response).ok());
}

TEST_F(DiscoveryTest, AnEndIsForGood) {
  Start();
  health_->End();
  health_->SetReady();
  HealthCheckResponse response;
  EXPECT_TRUE(Check(kReadiness, &response).ok());
  EXPECT_EQ(response.status(), HealthCheckResponse::NOT_SERVING);
}

TEST_F(DiscoveryTest, AServiceItDoesNotHaveIsNotFound) {
  Start();
  HealthCheckResponse response;
  const grpc::Status status = Check("other.v1.Service", &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_THAT(status.error_message(), HasSubstr(kReadiness));
}

TEST_F(DiscoveryTest, AWatcherHearsEachChangeOnce) {
  Start();
  Watch watch(channel_, kReadiness);
  EXPECT_EQ(watch.Next(), HealthCheckResponse::NOT_SERVING);
  health_->SetReady();
  EXPECT_EQ(watch.Next(), HealthCheckResponse::SERVING);
  health_->SetReady();
  health_->End();
  EXPECT_EQ(watch.Next(), HealthCheckResponse::NOT_SERVING);
  health_->End();
  server_->Shutdown(std::chrono::system_clock::now());
  HealthCheckResponse more;
  EXPECT_FALSE(watch.reader->Read(&more));
  EXPECT_FALSE(watch.reader->Finish().ok());
}

TEST_F(DiscoveryTest, AWatcherOfAnUnknownServiceIsToldAndStays) {
  Start();
  Watch watch(channel_, "other.v1.Service");
  EXPECT_EQ(watch.Next(), HealthCheckResponse::SERVICE_UNKNOWN);
  watch.context.TryCancel();
  EXPECT_EQ(watch.End().error_code(), grpc::StatusCode::CANCELLED);
}

TEST_F(DiscoveryTest, WatchersThatLeaveAreForgotten) {
  Start();
  for (int i = 0; i < 100; ++i) {
    Watch watch(channel_, kReadiness);
    if (i % 2 == 0) watch.Next();
    watch.context.TryCancel();
    watch.End();
    i % 3 == 0 ? health_->SetReady() : health_->End();
  }
  HealthCheckResponse response;
  EXPECT_TRUE(Check("", &response).ok());
}

// A reflection stream of either version.
template <typename Api>
struct Reflection {
  explicit Reflection(const std::shared_ptr<grpc::Channel>& channel)
      : stub(Api::NewStub(channel)), stream(stub->ServerReflectionInfo(&context)) {}

  std::unique_ptr<typename Api::Stub> stub;
  grpc::ClientContext context;
  decltype(stub->ServerReflectionInfo(&context)) stream;
};
using NewReflection = Reflection<grpc::reflection::v1::ServerReflection>;

ServerReflectionRequest ForServices() {
  ServerReflectionRequest request;
  request.set_list_services("*");
  return request;
}

TEST_F(DiscoveryTest, ReflectionAnswersEachRequestUnderBothNames) {
  Start();
  NewReflection reflection(channel_);
  ServerReflectionResponse response;
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(reflection.stream->Write(ForServices()));
    ASSERT_TRUE(reflection.stream->Read(&response));
    EXPECT_EQ(response.list_services_response().service_size(), 3);
  }
  reflection.stream->WritesDone();
  EXPECT_FALSE(reflection.stream->Read(&response));
  EXPECT_TRUE(reflection.stream->Finish().ok());

  Reflection<grpc::reflection::v1alpha::ServerReflection> old(channel_);
  grpc::reflection::v1alpha::ServerReflectionRequest request;
  request.set_file_containing_symbol("grpc.health.v1.Health");
  ASSERT_TRUE(old.stream->Write(request));
  grpc::reflection::v1alpha::ServerReflectionResponse answer;
  ASSERT_TRUE(old.stream->Read(&answer));
  EXPECT_EQ(answer.file_descriptor_response().file_descriptor_proto_size(), 1);
  old.context.TryCancel();
  EXPECT_EQ(old.stream->Finish().error_code(), grpc::StatusCode::CANCELLED);
}

TEST_F(DiscoveryTest, AReflectionStreamThatSaysNothingEnds) {
  Start(absl::Milliseconds(50));
  NewReflection reflection(channel_);
  ServerReflectionResponse response;
  ASSERT_TRUE(reflection.stream->Write(ForServices()));
  ASSERT_TRUE(reflection.stream->Read(&response));
  EXPECT_FALSE(reflection.stream->Read(&response));  // The client waits for the server to tire.
  EXPECT_EQ(reflection.stream->Finish().error_code(), grpc::StatusCode::DEADLINE_EXCEEDED);
}

TEST_F(DiscoveryTest, ReflectionStreamsAreBoundedAndOneMoreFitsOnceOneHasGone) {
  Start();
  std::vector<std::unique_ptr<NewReflection>> streams;
  ServerReflectionResponse response;
  for (int i = 0; i < ReflectionServices::kMaxStreams; ++i) {
    streams.push_back(std::make_unique<NewReflection>(channel_));
    ASSERT_TRUE(streams.back()->stream->Write(ForServices()));
    ASSERT_TRUE(streams.back()->stream->Read(&response));
  }
  NewReflection refused(channel_);
  EXPECT_FALSE(refused.stream->Read(&response));
  const grpc::Status status = refused.stream->Finish();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_THAT(status.error_message(), HasSubstr("64"));
  for (const auto& stream : streams) {
    stream->stream->WritesDone();
    EXPECT_TRUE(stream->stream->Finish().ok());
  }
  const absl::Time limit = absl::Now() + kPatience;
  bool answered = false;
  while (!answered && absl::Now() < limit) {  // The client may know before the server has counted.
    NewReflection next(channel_);
    answered = next.stream->Write(ForServices()) && next.stream->Read(&response);
    next.context.TryCancel();
    next.stream->Finish();
  }
  EXPECT_TRUE(answered);
}

}  // namespace
}  // namespace hmar
