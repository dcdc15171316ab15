// Connections that grow old: whoever holds one is asked to come again, and loses nothing that it
// has begun, within the grace.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "tests/server/test_server.h"

namespace hmar {
namespace {

std::chrono::system_clock::time_point Patience() {
  return absl::ToChronoTime(absl::Now() + kPatience);
}

// A call on a connection that has been asked to go. Its images wait at the engine's gate.
class AgedCall {
 public:
  explicit AgedCall(TestServer* server)
      : channel_(server->NewChannel()), stub_(v1::ImageGenerationService::NewStub(channel_)) {
    server->engine().CloseGate();
    context_.set_deadline(Patience());
    stream_ = stub_->Generate(&context_, SmallRequest(1, 3));
    v1::GenerateResponse accepted;
    EXPECT_TRUE(stream_->Read(&accepted));
    // gRPC's client leaves READY when it reads a GOAWAY.
    EXPECT_TRUE(channel_->WaitForStateChange(GRPC_CHANNEL_READY, Patience()));
  }

  // What comes of it: the images, and the end.
  StreamResult Finish() {
    StreamResult result;
    for (v1::GenerateResponse event; stream_->Read(&event);) result.events.push_back(event);
    result.status = stream_->Finish();
    return result;
  }

 private:
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<v1::ImageGenerationService::Stub> stub_;
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReader<v1::GenerateResponse>> stream_;
};

TEST(ConnectionAgeTest, AnAgedConnectionIsAskedToGoAndItsStreamFinishes) {
  TestServerOptions options;
  options.server.max_connection_age_seconds = 1;
  TestServer server(options);
  AgedCall call(&server);
  server.engine().OpenGate();
  const StreamResult result = call.Finish();
  EXPECT_TRUE(result.status.ok()) << result.status.error_message();
  EXPECT_EQ(result.images().size(), 3u);
  EXPECT_TRUE(Generate(server.stub(), SmallRequest(2)).status.ok());  // On a connection of its own.
}

TEST(ConnectionAgeTest, AfterTheGraceItsStreamIsCancelled) {
  TestServerOptions options;
  options.server.max_connection_age_seconds = 1;
  options.server.max_connection_age_grace_seconds = 1;
  TestServer server(options);
  AgedCall call(&server);
  const StreamResult result = call.Finish();
  EXPECT_EQ(result.status.error_code(), grpc::StatusCode::UNAVAILABLE)
      << result.status.error_message();
  EXPECT_TRUE(result.images().empty());
  server.engine().OpenGate();
}

}  // namespace
}  // namespace hmar
