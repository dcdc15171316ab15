// The server's life: health, reflection, ports, drain.

#include "server/server.h"

#include <gmock/gmock.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/support/byte_buffer.h>
#include <gtest/gtest.h>
#include <spdlog/logger.h>
#include <spdlog/sinks/null_sink.h>

#include <fstream>
#include <string>
#include <thread>

#include "absl/strings/str_cat.h"
#include "grpc/health/v1/health.grpc.pb.h"
#include "tests/server/grpc_details.h"
#include "tests/server/test_server.h"

namespace hmar {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

grpc::health::v1::HealthCheckResponse::ServingStatus HealthOf(const TestServer& server,
                                                              const std::string& service) {
  const auto stub = grpc::health::v1::Health::NewStub(server.NewChannel());
  grpc::ClientContext context;
  grpc::health::v1::HealthCheckRequest request;
  request.set_service(service);
  grpc::health::v1::HealthCheckResponse response;
  EXPECT_TRUE(stub->Check(&context, request, &response).ok());
  return response.status();
}

constexpr char kService[] = "hmar.v1.ImageGenerationService";
constexpr auto kServing = grpc::health::v1::HealthCheckResponse::SERVING;
constexpr auto kNotServing = grpc::health::v1::HealthCheckResponse::NOT_SERVING;

TEST(HealthTest, TheServiceServesOnceItsProbeImageWasMade) {
  TestServerOptions options;
  options.gate_closed = true;
  TestServer server(options);
  EXPECT_EQ(HealthOf(server, ""), kServing);
  EXPECT_EQ(HealthOf(server, kService), kNotServing);
  server.engine().OpenGate();
  EXPECT_TRUE(server.AwaitHealth(true));
  EXPECT_FALSE(server.engine().steps().empty());
}

TEST(HealthTest, AFailedProbeIsFatalAndNeverServes) {
  TestServerOptions options;
  options.faults.non_finite_seeds = {0};  // The probe's.
  options.gate_closed = true;
  TestServer server(options);
  server.engine().OpenGate();
  EXPECT_THAT(std::string(server.AwaitFatal().message()),
              AllOf(HasSubstr("probe"), HasSubstr("fake"), HasSubstr("finite")));
  EXPECT_EQ(HealthOf(server, kService), kNotServing);
}

TEST(ReflectionTest, ListsTheService) {
  TestServer server;
  grpc::GenericStub stub(server.NewChannel());
  grpc::ClientContext context;
  grpc::CompletionQueue queue;
  const auto call = stub.PrepareCall(
      &context, "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", &queue);
  const auto await = [&queue] {
    void* tag = nullptr;
    bool ok = false;
    return queue.Next(&tag, &ok) && ok;
  };
  call->StartCall(nullptr);
  ASSERT_TRUE(await());
  grpc::Slice slice(std::string("\x3a\x01*"));  // ServerReflectionRequest.list_services = "*".
  call->Write(grpc::ByteBuffer(&slice, 1), nullptr);
  ASSERT_TRUE(await());
  grpc::ByteBuffer reply;
  call->Read(&reply, nullptr);
  ASSERT_TRUE(await());
  grpc::Slice bytes;
  ASSERT_TRUE(reply.DumpToSingleSlice(&bytes).ok());
  EXPECT_THAT(std::string(bytes.begin(), bytes.end()),
              AllOf(HasSubstr(kService), HasSubstr("grpc.health.v1.Health")));
  context.TryCancel();
  grpc::Status status;
  call->Finish(&status, nullptr);
  await();
}

TEST(DrainTest, AcceptedRequestsAreFinishedAndNewOnesRefused) {
  TestServer server;
  server.engine().CloseGate();
  StreamResult accepted;
  std::thread client([&] { accepted = Generate(server.stub(), SmallRequest(1, 3)); });
  ASSERT_TRUE(server.engine().AwaitStepAtGate());
  bool finished = false;
  std::thread drain([&] { finished = server.server().Drain(kPatience); });
  EXPECT_TRUE(server.AwaitHealth(false));
  StreamResult late = Generate(server.stub(), SmallRequest(9));
  EXPECT_EQ(late.status.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(ReasonIn(late.status), "DRAINING");
  EXPECT_TRUE(DetailOf<google::rpc::RetryInfo>(late.status).has_value());
  server.engine().OpenGate();
  drain.join();
  client.join();
  EXPECT_TRUE(finished);
  EXPECT_TRUE(accepted.status.ok()) << accepted.status.error_message();
  EXPECT_EQ(accepted.images().size(), 3u);
}

// Ends with a lost device, which nobody has to wait for the delay's end with.
TEST(DrainTest, WhileItIsAnnouncedRequestsAreTaken) {
  TestServer server;
  std::thread announce([&] { server.server().AnnounceDrain(absl::InfiniteDuration()); });
  EXPECT_TRUE(server.AwaitHealth(false));
  const StreamResult taken = Generate(server.stub(), SmallRequest(1));
  EXPECT_TRUE(taken.status.ok()) << taken.status.error_message();
  server.engine().SetFaults({.lost_after_steps = 0});
  EXPECT_EQ(ReasonIn(Generate(server.stub(), SmallRequest(2)).status), "DEVICE_LOST");
  announce.join();
  EXPECT_FALSE(server.server().Drain(kPatience));
}

TEST(DrainTest, AServerThatWasNeverReadyHasNobodyToAnnounceItTo) {
  TestServerOptions options;
  options.gate_closed = true;
  TestServer server(options);
  server.server().AnnounceDrain(absl::InfiniteDuration());
  EXPECT_EQ(HealthOf(server, kService), kNotServing);
}

TEST(DrainTest, WhatIsLeftAtTheLimitFailsAsUnavailable) {
  TestServer server;
  server.engine().CloseGate();
  StreamResult accepted;
  std::thread client([&] {
    accepted = Generate(server.stub(), SmallRequest(1));
    server.engine().OpenGate();  // The engine's thread ends its step, and Drain returns.
  });
  ASSERT_TRUE(server.engine().AwaitStepAtGate());
  EXPECT_FALSE(server.server().Drain(absl::Milliseconds(10)));
  client.join();
  EXPECT_EQ(accepted.status.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(ReasonIn(accepted.status), "DRAINING");
}

TEST(DrainTest, AServerThatIsNotReadyYetStops) {
  TestServerOptions options;
  options.gate_closed = true;
  TestServer server(options);
  ASSERT_TRUE(server.engine().AwaitStepAtGate());
  const auto stub = grpc::health::v1::Health::NewStub(server.NewChannel());
  grpc::ClientContext context;
  const auto watch = stub->Watch(&context, grpc::health::v1::HealthCheckRequest());
  grpc::health::v1::HealthCheckResponse response;
  ASSERT_TRUE(watch->Read(&response));
  std::thread opener([&] {
    while (watch->Read(&response)) {
    }
    server.engine().OpenGate();  // The port is closed: Drain waits for the engine's step alone.
  });
  EXPECT_TRUE(server.server().Drain(absl::ZeroDuration()));
  opener.join();
  watch->Finish();
}

TEST(DrainTest, AHealthWatchDoesNotHoldItUp) {
  TestServer server;
  const auto stub = grpc::health::v1::Health::NewStub(server.NewChannel());
  grpc::ClientContext context;
  grpc::health::v1::HealthCheckRequest request;
  const auto watch = stub->Watch(&context, request);
  grpc::health::v1::HealthCheckResponse response;
  ASSERT_TRUE(watch->Read(&response));
  const absl::Time start = absl::Now();
  EXPECT_TRUE(server.server().Drain(kPatience));
  EXPECT_LT(absl::Now() - start, kPatience / 2);
  while (watch->Read(&response)) {
  }
  watch->Finish();
}

// What Server::Start says with these options and one fake model.
absl::Status StartStatus(ServerOptions options) {
  static const RealClock clock;
  DeviceSeededRandom random;
  ServerDependencies dependencies;
  dependencies.clock = &clock;
  dependencies.random = &random;
  dependencies.log =
      std::make_shared<spdlog::logger>("test", std::make_shared<spdlog::sinks::null_sink_mt>());
  dependencies.make_engine = [](const ModelSpec& spec, const Device&, const ServerOptions&) {
    if (spec.path == "broken") {
      return absl::StatusOr<std::unique_ptr<Engine>>(absl::NotFoundError("broken: no such folder"));
    }
    return absl::StatusOr<std::unique_ptr<Engine>>(
        std::make_unique<FakeEngine>(FakeEngineInfo(spec.name)));
  };
  return Server::Start(options, std::move(dependencies)).status();
}

TEST(StartTest, ABusyPortIsAnErrorThatNamesIt) {
  TestServer server;
  ServerOptions options;
  options.models = {"fake=x"};
  options.listen = absl::StrCat("127.0.0.1:", server.server().port());
  const absl::Status status = StartStatus(options);
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(status.message()),
              AllOf(HasSubstr("--listen"), HasSubstr(options.listen)));
}

TEST(StartTest, ABusyMetricsPortIsAnErrorThatNamesIt) {
  TestServer server;
  ServerOptions options = LoopbackOptions();
  options.models = {"fake=x"};
  options.metrics = absl::StrCat("127.0.0.1:", server.server().port());
  EXPECT_THAT(std::string(StartStatus(options).message()),
              AllOf(HasSubstr("--metrics"), HasSubstr(options.metrics)));
}

TEST(StartTest, ABusyPortIsFoundOutBeforeAModelIsLoaded) {
  TestServer server;
  const std::string busy = absl::StrCat("127.0.0.1:", server.server().port());
  for (std::string ServerOptions::*port :
       {&ServerOptions::listen, &ServerOptions::http, &ServerOptions::metrics}) {
    ServerOptions options = LoopbackOptions();
    options.models = {"bad=broken"};
    options.*port = busy;
    EXPECT_THAT(std::string(StartStatus(options).message()),
                AllOf(HasSubstr("cannot listen"), HasSubstr(busy)));
  }
}

TEST(StartTest, TwoOfItsOwnPortsAreNotTheSame) {
  ServerOptions options = LoopbackOptions();
  options.models = {"bad=broken"};
  {
    TestServer server;
    options.listen = options.http = absl::StrCat("127.0.0.1:", server.server().port());
  }
  EXPECT_THAT(std::string(StartStatus(options).message()), HasSubstr("--http: cannot listen"));
}

TEST(StartTest, ABrokenModelIsAnErrorBeforeThePortIsTaken) {
  ServerOptions options = LoopbackOptions();
  options.port_file = ::testing::TempDir() + "/hmar-never-written";
  options.models = {"fake=x", "bad=broken"};
  EXPECT_THAT(std::string(StartStatus(options).message()), HasSubstr("broken: no such folder"));
  EXPECT_FALSE(std::ifstream(options.port_file).good());
}

TEST(StartTest, ThePortFileHoldsThePort) {
  TestServerOptions options;
  options.server.port_file = ::testing::TempDir() + "/hmar-port";
  TestServer server(options);
  int port = 0;
  std::ifstream(options.server.port_file) >> port;
  EXPECT_EQ(port, server.server().port());
}

TEST(StartTest, MetricsAreServedWhenAskedFor) {
  TestServerOptions options;
  options.server.metrics = "127.0.0.1:0";
  TestServer server(options);
  EXPECT_GT(server.server().metrics_port(), 0);
}

}  // namespace
}  // namespace hmar
