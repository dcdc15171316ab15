#include "client/client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <string>
#include <thread>

#include "tests/client/fake_service.h"
#include "tests/client/raw_server.h"

namespace hmar {
namespace {

using ::testing::HasSubstr;

constexpr absl::Duration kGenerous = absl::Seconds(60);

class ClientTest : public testing::Test {
 protected:
  FakeServer server_;
  Client client_{server_.address()};
};

TEST_F(ClientTest, EventsArriveInTheOrderSent) {
  const auto sent = StreamOf(2, 7, v1::OutputOptions::FORMAT_RGB8, Previews::kAllButTheLast);
  server_.service().SetScript({.events = sent, .status = {}});
  v1::GenerateRequest request;
  request.set_class_name("ship");
  request.set_num_images(2);
  request.mutable_previews()->set_mode(v1::PreviewOptions::MODE_FAST);
  request.mutable_output()->set_format(v1::OutputOptions::FORMAT_RGB8);
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
  EXPECT_EQ(events, 3);
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

TEST_F(ClientTest, AnEventThatDoesNotBelongToTheRequestEndsTheCallBeforeTheCallback) {
  auto events = StreamOf(1, 7, v1::OutputOptions::FORMAT_PNG);
  events[1].mutable_image()->set_image_index(1);
  server_.service().SetScript({.events = events, .status = {}, .hang = true});
  int seen = 0;
  const absl::Status status = client_.Generate({}, [&](const v1::GenerateResponse&) {
    ++seen;
    return absl::OkStatus();
  });
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(std::string(status.message()), HasSubstr("image 1 of 1"));
  EXPECT_EQ(seen, 1);
  EXPECT_TRUE(server_.service().cancelled().WaitForNotificationWithTimeout(kGenerous));
}

TEST_F(ClientTest, AStreamThatEndsEarlyIsNoSuccess) {
  auto events = StreamOf(2, 7, v1::OutputOptions::FORMAT_PNG);
  events.resize(2);
  server_.service().SetScript({.events = events, .status = {}});
  v1::GenerateRequest request;
  request.set_num_images(2);
  const absl::Status status =
      client_.Generate(request, [](const auto&) { return absl::OkStatus(); });
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << status;
}

TEST_F(ClientTest, AReplyIsHeldAgainstItsRequestLikeAStream) {
  server_.service().SetScript(
      {.events = StreamOf(3, 7, v1::OutputOptions::FORMAT_PNG), .status = {}});
  v1::GenerateRequest request;
  request.set_num_images(2);
  EXPECT_THAT(std::string(client_.GenerateImages(request).status().message()),
              HasSubstr("image 2 of 2"));
  request.set_num_images(4);
  EXPECT_THAT(std::string(client_.GenerateImages(request).status().message()),
              HasSubstr("Completed after 3 of 4 images"));
  request.set_num_images(3);
  EXPECT_EQ(client_.GenerateImages(request, {.answer = {.picture_side_pixels = 7}}).status().code(),
            absl::StatusCode::kDataLoss);
}

TEST_F(ClientTest, ThousandsOfModelsAreNoAnswer) {
  v1::ListModelsResponse models;
  for (int i = 0; i <= kMaxModels; ++i) models.add_models();
  server_.service().SetScript({.events = {}, .status = {}, .models = models});
  EXPECT_EQ(client_.ListModels().status(),
            absl::DataLossError("the server lists 1001 models; at most 1000"));
  models.mutable_models()->RemoveLast();
  server_.service().SetScript({.events = {}, .status = {}, .models = models});
  EXPECT_TRUE(client_.ListModels().ok());
}

// Servers that do not even send messages.
class RawClientTest : public testing::Test {
 protected:
  absl::Status Generate(const v1::GenerateRequest& request = {}) {
    return client_.Generate(request, [](const auto&) { return absl::OkStatus(); });
  }

  RawServer server_;
  Client client_{server_.address()};
};

constexpr char kGenerate[] = "/hmar.v1.ImageGenerationService/Generate";
constexpr char kGenerateImages[] = "/hmar.v1.ImageGenerationService/GenerateImages";
constexpr char kListModels[] = "/hmar.v1.ImageGenerationService/ListModels";
constexpr char kGetModel[] = "/hmar.v1.ImageGenerationService/GetModel";
constexpr char kWatch[] = "/grpc.health.v1.Health/Watch";

TEST_F(RawClientTest, BytesThatAreNoEventAreAnError) {
  server_.SetAnswer(kGenerate, {.messages = {Repeated("\xff", 10)}, .status = {}});
  EXPECT_EQ(Generate(), absl::DataLossError("bytes that are no GenerateResponse"));
}

TEST_F(RawClientTest, TextThatIsNoUtf8IsAnError) {
  // accepted { request_id: "\xff" }
  server_.SetAnswer(kGenerate, {.messages = {Repeated("\x0a\x03\x0a\x01\xff", 1)}, .status = {}});
  EXPECT_EQ(Generate(), absl::DataLossError("bytes that are no GenerateResponse"));
}

TEST_F(RawClientTest, FieldsAreCountedBeforeTheyBecomeObjects) {
  // image { tokens {} ... }: two bytes each.
  const std::string start("\x1a\xa0\x9c\x01", 4);  // Of 20,000 bytes.
  std::string event = start;
  for (int i = 0; i < 10'000; ++i) event += std::string("\x22\0", 2);
  server_.SetAnswer(kGenerate, {.messages = {Repeated(event, 1)}, .status = {}});
  EXPECT_EQ(Generate(), absl::DataLossError("a GenerateResponse of more than 10000 fields"));
}

TEST_F(RawClientTest, EventsOverTheLimitAreRefused) {
  server_.SetAnswer(kGenerate, {.messages = {Repeated("x", kMaxEventBytes + 1)}, .status = {}});
  EXPECT_TRUE(absl::IsResourceExhausted(Generate())) << Generate();
}

TEST_F(RawClientTest, OtherRepliesHaveLimitsOfTheirOwn) {
  const RawAnswer answer{.messages = {Repeated("x", kMaxModelsReplyBytes + 1)}, .status = {}};
  server_.SetAnswer(kListModels, answer);
  server_.SetAnswer(kGetModel, answer);
  EXPECT_TRUE(absl::IsResourceExhausted(client_.ListModels().status()));
  EXPECT_TRUE(absl::IsResourceExhausted(client_.GetModel("").status()));
  server_.SetAnswer("/grpc.health.v1.Health/Check",
                    {.messages = {Repeated("x", 5000)}, .status = {}});
  EXPECT_TRUE(absl::IsResourceExhausted(client_.Health(""))) << client_.Health("");
}

TEST_F(RawClientTest, ManyImagesOrModelsAreCountedBeforeTheyBecomeObjects) {
  server_.SetAnswer(kGenerateImages,
                    {.messages = {Repeated(std::string("\x12\0", 2), 40'000)}, .status = {}});
  EXPECT_EQ(client_.GenerateImages({}).status(),
            absl::DataLossError("a GenerateImagesResponse of more than 20000 fields"));
  server_.SetAnswer(kListModels,
                    {.messages = {Repeated(std::string("\x0a\0", 2), 600'001)}, .status = {}});
  EXPECT_EQ(client_.ListModels().status(),
            absl::DataLossError("a ListModelsResponse of more than 600000 fields"));
}

TEST_F(RawClientTest, AUnaryCallHasOneReply) {
  server_.SetAnswer(kListModels, {.messages = {}, .status = {}});
  EXPECT_FALSE(client_.ListModels().ok());
  server_.SetAnswer(kListModels, {.messages = {Repeated("", 0), Repeated("", 0)}, .status = {}});
  EXPECT_FALSE(client_.ListModels().ok());
  server_.SetAnswer(kListModels, {.messages = {Repeated("", 0)}, .status = {}});
  EXPECT_TRUE(client_.ListModels().ok()) << client_.ListModels().status();
}

TEST_F(RawClientTest, CompressedRepliesAreRefused) {
  for (const auto algorithm : {GRPC_COMPRESS_GZIP, GRPC_COMPRESS_DEFLATE}) {
    server_.SetAnswer(
        kGenerate, {.messages = {Repeated("x", 1 << 20)}, .status = {}, .compression = algorithm});
    EXPECT_FALSE(Generate().ok());
  }
}

TEST_F(RawClientTest, AServerThatIsNeverReadyIsAskedAFewTimesASecond) {
  server_.SetAnswer(kWatch, {.messages = {}, .status = {grpc::StatusCode::UNAVAILABLE, "not yet"}});
  EXPECT_TRUE(absl::IsDeadlineExceeded(
      client_.WaitUntilReady(kReadinessService, {.timeout = absl::Seconds(1)})));
  EXPECT_LE(server_.calls(), 10);  // Of hundreds.
}

TEST(SafeChannelArgumentsTest, AnAttemptToConnectHasTenSecondsAndCallsAreNotRetried) {
  const grpc::ChannelArguments safe = SafeChannelArguments();
  const grpc_channel_args arguments = safe.c_channel_args();
  std::map<std::string, int> numbers;
  for (size_t i = 0; i < arguments.num_args; ++i) {
    const grpc_arg& argument = arguments.args[i];
    if (argument.type == GRPC_ARG_INTEGER) numbers[argument.key] = argument.value.integer;
  }
  EXPECT_EQ(numbers.at(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS), 10'000);
  EXPECT_EQ(numbers.at(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS), 200);
  EXPECT_EQ(numbers.at(GRPC_ARG_ENABLE_RETRIES), 0);
}

TEST(ClientWithoutServerTest, CallsAreUnavailableAndWaitingReachesItsDeadline) {
  Client client("127.0.0.1:1");
  EXPECT_TRUE(absl::IsUnavailable(client.ListModels().status()));
  EXPECT_TRUE(absl::IsDeadlineExceeded(
      client.WaitUntilReady(kReadinessService, {.timeout = absl::Milliseconds(300)})));
}

}  // namespace
}  // namespace hmar
