#include "client/client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "tests/client/fake_service.h"

namespace hmar {
namespace {

constexpr absl::Duration kGenerous = absl::Seconds(60);

class ClientTest : public testing::Test {
 protected:
  FakeServer server_;
  Client client_{server_.address()};
};

TEST_F(ClientTest, EventsArriveInTheOrderSent) {
  const auto sent = StreamOf(2, 7, v1::OutputOptions::FORMAT_RGB8);
  server_.service().SetScript({.events = sent, .status = {}});
  v1::GenerateRequest request;
  request.set_class_name("ship");
  std::vector<std::string> received;
  const absl::Status status = client_.Generate(request, [&](const v1::GenerateResponse& event) {
    received.push_back(event.SerializeAsString());
    return absl::OkStatus();
  });
  EXPECT_TRUE(status.ok()) << status;
  ASSERT_EQ(received.size(), sent.size());
  for (size_t i = 0; i < sent.size(); ++i) EXPECT_EQ(received[i], sent[i].SerializeAsString());
  EXPECT_EQ(server_.service().last_request().class_name(), "ship");
}

TEST_F(ClientTest, AnErrorAfterEventsIsReturned) {
  server_.service().SetScript({.events = StreamOf(1, 7, v1::OutputOptions::FORMAT_PNG),
                               .status = {grpc::StatusCode::INTERNAL, "lost"}});
  int events = 0;
  const absl::Status status = client_.Generate({}, [&](const v1::GenerateResponse&) {
    ++events;
    return absl::OkStatus();
  });
  EXPECT_EQ(status, absl::InternalError("lost"));
  EXPECT_EQ(events, 5);
}

TEST_F(ClientTest, TheCallbacksErrorCancelsTheCall) {
  server_.service().SetScript(
      {.events = StreamOf(1, 7, v1::OutputOptions::FORMAT_PNG), .status = {}, .hang = true});
  const absl::Status status = client_.Generate(
      {}, [](const v1::GenerateResponse&) { return absl::DataLossError("disk full"); });
  EXPECT_EQ(status, absl::DataLossError("disk full"));
  EXPECT_TRUE(server_.service().cancelled().WaitForNotificationWithTimeout(kGenerous));
}

TEST_F(ClientTest, AnotherThreadCancelsARunningCall) {
  server_.service().SetScript({.events = {}, .status = {}, .hang = true});
  Canceller canceller;
  absl::Status status;
  std::thread caller([&] {
    status = client_.Generate({}, [](const auto&) { return absl::OkStatus(); },
                              {.canceller = &canceller});
  });
  EXPECT_TRUE(server_.service().events_sent().WaitForNotificationWithTimeout(kGenerous));
  canceller.Cancel();
  caller.join();
  EXPECT_TRUE(absl::IsCancelled(status)) << status;
  EXPECT_TRUE(server_.service().cancelled().WaitForNotificationWithTimeout(kGenerous));
}

TEST_F(ClientTest, ACancelledCancellerFailsLaterCalls) {
  Canceller canceller;
  canceller.Cancel();
  EXPECT_TRUE(absl::IsCancelled(client_.ListModels({.canceller = &canceller}).status()));
}

TEST_F(ClientTest, ACallEndsAtItsDeadline) {
  server_.service().SetScript({.events = {}, .status = {}, .hang = true});
  const absl::Status status = client_.Generate({}, [](const auto&) { return absl::OkStatus(); },
                                               {.timeout = absl::Milliseconds(50)});
  EXPECT_TRUE(absl::IsDeadlineExceeded(status)) << status;
}

TEST_F(ClientTest, GenerateImagesReturnsAllImages) {
  server_.service().SetScript(
      {.events = StreamOf(3, 7, v1::OutputOptions::FORMAT_PNG), .status = {}});
  v1::GenerateRequest request;
  request.set_num_images(3);
  const auto response = client_.GenerateImages(request);
  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_EQ(response->images_size(), 3);
  EXPECT_EQ(server_.service().last_request().num_images(), 3);
}

TEST_F(ClientTest, ModelsAreListedAndFound) {
  EXPECT_EQ(client_.ListModels()->models_size(), 1);
  EXPECT_EQ(client_.GetModel("")->name(), "tiny");
  EXPECT_EQ(client_.GetModel("huge").status(), absl::NotFoundError("no such model"));
}

TEST_F(ClientTest, HealthFollowsTheServer) {
  EXPECT_TRUE(absl::IsUnavailable(client_.Health(kReadinessService)));
  server_.SetReady(true);
  EXPECT_TRUE(client_.Health(kReadinessService).ok());
  EXPECT_TRUE(client_.Health("").ok());
  EXPECT_TRUE(absl::IsNotFound(client_.Health("no.such.Service")));
}

TEST_F(ClientTest, WaitingEndsWhenTheServerBecomesReady) {
  absl::Status status = absl::UnknownError("still waiting");
  std::thread waiter(
      [&] { status = client_.WaitUntilReady(kReadinessService, {.timeout = kGenerous}); });
  server_.SetReady(true);
  waiter.join();
  EXPECT_TRUE(status.ok()) << status;
}

TEST_F(ClientTest, WaitingEndsAtItsDeadline) {
  const absl::Status status =
      client_.WaitUntilReady(kReadinessService, {.timeout = absl::Milliseconds(50)});
  EXPECT_TRUE(absl::IsDeadlineExceeded(status)) << status;
}

TEST(ClientWithoutServerTest, CallsAreUnavailableAndWaitingReachesItsDeadline) {
  Client client("127.0.0.1:1");
  EXPECT_TRUE(absl::IsUnavailable(client.ListModels().status()));
  EXPECT_TRUE(absl::IsDeadlineExceeded(
      client.WaitUntilReady(kReadinessService, {.timeout = absl::Milliseconds(300)})));
}

}  // namespace
}  // namespace hmar
