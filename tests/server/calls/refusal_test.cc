// What goes wrong over a real channel: refused requests, ended calls, stopping servers.

#include <gmock/gmock.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/generic/generic_stub.h>
#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "tests/server/grpc_details.h"
#include "tests/server/test_server.h"

namespace hmar {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Lt;
using ::testing::SizeIs;

// How many steps an image of this seed took part in.
size_t StepsOf(const FakeEngine& engine, uint64_t seed) {
  size_t steps = 0;
  for (const FakeEngine::Call& call : engine.steps()) {
    steps += std::count(call.seeds.begin(), call.seeds.end(), seed);
  }
  return steps;
}

TEST(RefusalTest, BadRequestsNameTheirFieldsAndReachNoEngine) {
  TestServer server;
  const size_t calls = server.engine().calls().size();
  v1::GenerateRequest request = SmallRequest(7, 100'000);
  request.mutable_sampling()->set_cfg_scale(std::nanf(""));
  request.set_request_id(std::string(500, 'x'));
  const StreamResult result = Generate(server.stub(), request);
  EXPECT_THAT(result.events, IsEmpty());
  EXPECT_EQ(result.status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(FieldsIn(result.status),
              ElementsAre("num_images", "sampling.cfg_scale", "request_id"));
  EXPECT_EQ(ReasonIn(result.status), "FIELD_OUT_OF_RANGE");
  EXPECT_FALSE(absl::StrContains(result.status.error_details(), std::string(100, 'x')));
  EXPECT_THAT(result.status.error_message().size(), Lt(1000u));
  EXPECT_EQ(server.engine().calls().size(), calls);
  EXPECT_THAT(server.NextAccessLine(), HasSubstr("\"code\":\"INVALID_ARGUMENT\""));
  EXPECT_TRUE(Generate(server.stub(), SmallRequest(1)).status.ok());
}

TEST(RefusalTest, AnImageThatHasNoMemoryEvenAloneFailsAndTheServerServesOn) {
  TestServer server;
  server.engine().SetFaults({.max_step_images = 0});
  const StreamResult result = Generate(server.stub(), SmallRequest(1, 3));
  EXPECT_EQ(result.status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(ReasonIn(result.status), "OUT_OF_MEMORY");
  server.engine().SetFaults({});
  EXPECT_TRUE(Generate(server.stub(), SmallRequest(1)).status.ok());
}

TEST(RefusalTest, ARequestIdOfMegabytesIsRefusedInAFewBytes) {
  TestServer server;
  v1::GenerateRequest request = SmallRequest(7);
  request.set_request_id(std::string(4 << 20, 'x'));
  const StreamResult result = Generate(server.stub(), request);
  EXPECT_THAT(FieldsIn(result.status), ElementsAre("request_id"));
  EXPECT_THAT(result.status.error_details().size(), Lt(1000u));
}

// Sends bytes as the request of a unary method, whatever they are.
grpc::Status CallWith(const TestServer& server, const std::string& method,
                      const std::string& bytes) {
  grpc::TemplatedGenericStub<grpc::ByteBuffer, grpc::ByteBuffer> stub(server.NewChannel());
  grpc::ClientContext context;
  const grpc::Slice slice(bytes);
  const grpc::ByteBuffer request(&slice, 1);
  grpc::ByteBuffer response;
  grpc::Status status;
  absl::Notification done;
  stub.UnaryCall(&context, "/hmar.v1.ImageGenerationService/" + method, grpc::StubOptions(),
                 &request, &response, [&](grpc::Status ended) {
                   status = std::move(ended);
                   done.Notify();
                 });
  done.WaitForNotification();
  return status;
}

TEST(RefusalTest, BytesThatAreNoRequestAreNamedLoggedAndAnswered) {
  TestServer server;
  for (const char* method : {"Generate", "GenerateImages", "ListModels", "GetModel"}) {
    const grpc::Status status = CallWith(server, method, "\xff\xff not a message");
    EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT) << method;
    EXPECT_EQ(ReasonIn(status), "MESSAGE_INVALID") << method;
    EXPECT_THAT(FieldsIn(status), SizeIs(1)) << method;
  }
  EXPECT_THAT(server.NextAccessLine(), HasSubstr("\"reason\":\"MESSAGE_INVALID\""));
  EXPECT_TRUE(Generate(server.stub(), SmallRequest(7)).status.ok());
}

TEST(RefusalTest, UnknownModelsAreNotFoundResources) {
  TestServer server;
  v1::GenerateRequest request = SmallRequest(7);
  request.set_model("dall-e");
  const StreamResult result = Generate(server.stub(), request);
  EXPECT_EQ(result.status.error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(ReasonIn(result.status), "MODEL_NOT_FOUND");
  EXPECT_EQ(DetailOf<google::rpc::ResourceInfo>(result.status)->resource_name(), "dall-e");
  grpc::ClientContext context;
  v1::GetModelRequest get;
  get.set_name("dall-e");
  v1::GetModelResponse response;
  const grpc::Status status = server.stub().GetModel(&context, get, &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(ReasonIn(status), "MODEL_NOT_FOUND");
}

TEST(RefusalTest, TheUnaryCallRefusesWithPathsInItsRequest) {
  TestServer server;
  grpc::ClientContext context;
  v1::GenerateImagesRequest request;
  *request.mutable_request() = SmallRequest(7);
  request.mutable_request()->set_class_id(3);
  v1::GenerateImagesResponse response;
  const grpc::Status status = server.stub().GenerateImages(&context, request, &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(FieldsIn(status), ElementsAre("request.class_id"));
  EXPECT_EQ(ReasonIn(status), "UNKNOWN_CLASS");
}

TEST(RefusalTest, AFullQueueSaysWhenToTryAgain) {
  TestServerOptions options;
  options.models = {FakeEngineInfo("fake", 1)};
  options.server.max_queued_images = 2;
  TestServer server(options);
  server.engine().CloseGate();
  std::thread running([&] { EXPECT_TRUE(Generate(server.stub(), SmallRequest(1)).status.ok()); });
  ASSERT_TRUE(server.engine().AwaitStepAtGate());
  grpc::ClientContext context;
  const auto waiting = server.stub().Generate(&context, SmallRequest(2, 2));
  v1::GenerateResponse event;
  ASSERT_TRUE(waiting->Read(&event));  // Accepted: the queue is full now.
  const StreamResult refused = Generate(server.stub(), SmallRequest(4));
  EXPECT_EQ(refused.status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(ReasonIn(refused.status), "QUEUE_FULL");
  EXPECT_TRUE(DetailOf<google::rpc::RetryInfo>(refused.status).has_value());
  server.engine().OpenGate();
  while (waiting->Read(&event)) {
  }
  EXPECT_TRUE(waiting->Finish().ok());
  running.join();
}

TEST(RefusalTest, MoreImagesThanTheQueueHoldsAreAFaultOfTheRequest) {
  TestServerOptions options;
  options.server.max_queued_images = 3;
  TestServer server(options);
  const StreamResult result = Generate(server.stub(), SmallRequest(1, 4));
  EXPECT_EQ(result.status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(FieldsIn(result.status), ElementsAre("num_images"));
  EXPECT_THAT(result.status.error_message(), HasSubstr("4; at most 3"));
  EXPECT_FALSE(DetailOf<google::rpc::RetryInfo>(result.status).has_value());
  EXPECT_TRUE(Generate(server.stub(), SmallRequest(1, 3)).status.ok());
}

TEST(RefusalTest, BeforeItsProbesTheServerTakesNobodysImages) {
  TestServerOptions options;
  options.server.max_queued_images = 1;  // One early client would take the probe's place.
  options.gate_closed = true;
  TestServer server(options);
  ASSERT_TRUE(server.engine().AwaitStepAtGate());
  v1::GenerateRequest price = SmallRequest(1);
  price.set_validate_only(true);
  for (const v1::GenerateRequest& request : {SmallRequest(1), price}) {
    const StreamResult early = Generate(server.stub(), request);
    EXPECT_EQ(early.status.error_code(), grpc::StatusCode::UNAVAILABLE);
    EXPECT_EQ(ReasonIn(early.status), "NOT_READY");
    EXPECT_TRUE(DetailOf<google::rpc::RetryInfo>(early.status).has_value());
  }
  grpc::ClientContext context;
  v1::GenerateImagesRequest request;
  *request.mutable_request() = SmallRequest(7);
  v1::GenerateImagesResponse response;
  EXPECT_EQ(ReasonIn(server.stub().GenerateImages(&context, request, &response)), "NOT_READY");
  server.engine().OpenGate();
  ASSERT_TRUE(server.AwaitHealth(true));
  EXPECT_TRUE(Generate(server.stub(), SmallRequest(1)).status.ok());
}

TEST(RefusalTest, AFailedImageFailsItsRequestAlone) {
  TestServerOptions options;
  options.faults.non_finite_seeds = {13};
  TestServer server(options);
  const StreamResult bad = Generate(server.stub(), SmallRequest(12, 3));
  EXPECT_EQ(bad.status.error_code(), grpc::StatusCode::INTERNAL);
  EXPECT_EQ(ReasonIn(bad.status), "GENERATION_FAILED");
  EXPECT_THAT(bad.status.error_message(), HasSubstr("finite"));
  EXPECT_TRUE(Generate(server.stub(), SmallRequest(20, 3)).status.ok());
}

TEST(CancelTest, ACancelledCallLeavesBeforeTheNextStep) {
  TestServer server;
  server.engine().CloseGate();
  grpc::ClientContext context;
  const auto stream = server.stub().Generate(&context, SmallRequest(100, 4));
  ASSERT_TRUE(server.engine().AwaitStepAtGate());
  context.TryCancel();
  EXPECT_THAT(server.NextAccessLine(), HasSubstr("\"code\":\"CANCELLED\""));
  server.engine().OpenGate();
  EXPECT_EQ(stream->Finish().error_code(), grpc::StatusCode::CANCELLED);
  EXPECT_TRUE(Generate(server.stub(), SmallRequest(200)).status.ok());
  for (uint64_t seed = 100; seed < 104; ++seed) EXPECT_EQ(StepsOf(server.engine(), seed), 1u);
  EXPECT_EQ(server.engine().images_held(), 0u);
}

TEST(CancelTest, ACancelledUnaryCallLeavesToo) {
  TestServer server;
  server.engine().CloseGate();
  grpc::ClientContext context;
  grpc::Status status;
  std::thread call([&] {
    v1::GenerateImagesRequest request;
    *request.mutable_request() = SmallRequest(100, 2);
    v1::GenerateImagesResponse response;
    status = server.stub().GenerateImages(&context, request, &response);
  });
  ASSERT_TRUE(server.engine().AwaitStepAtGate());
  context.TryCancel();
  EXPECT_THAT(server.NextAccessLine(), HasSubstr("\"code\":\"CANCELLED\""));
  call.join();
  server.engine().OpenGate();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::CANCELLED);
  EXPECT_TRUE(Generate(server.stub(), SmallRequest(200)).status.ok());
  EXPECT_EQ(StepsOf(server.engine(), 100), 1u);
}

// The connection is up before the clock of the call starts, so that the call reaches the server.
TEST(CancelTest, AnExpiredDeadlineFreesItsImages) {
  TestServer server;
  ASSERT_TRUE(Generate(server.stub(), SmallRequest(50)).status.ok());
  ASSERT_THAT(server.NextAccessLine(), HasSubstr("\"code\":\"OK\""));
  server.engine().CloseGate();
  grpc::ClientContext context;
  context.set_deadline(absl::ToChronoTime(absl::Now() + absl::Milliseconds(500)));
  const StreamResult result = Generate(server.stub(), &context, SmallRequest(100));
  EXPECT_EQ(result.status.error_code(), grpc::StatusCode::DEADLINE_EXCEEDED);
  EXPECT_THAT(server.NextAccessLine(), HasSubstr("\"code\":\"DEADLINE_EXCEEDED\""));
  server.engine().OpenGate();
  EXPECT_TRUE(Generate(server.stub(), SmallRequest(200)).status.ok());
  EXPECT_THAT(StepsOf(server.engine(), 100), ::testing::Le(1u));
  EXPECT_EQ(server.engine().images_held(), 0u);
}

// More than the stream's buffer and the connection's windows hold together.
TEST(SlowClientTest, AStreamThatOutgrowsItsBufferEndsWithResourceExhausted) {
  TestServerOptions options;
  EngineInfo info = FakeEngineInfo("fake", 64);
  info.config.image_size = 512;  // 768 KiB a picture.
  options.models = {info};
  options.server.stream_buffer_bytes = 4 << 20;
  TestServer server(options);
  grpc::ClientContext context;
  const auto slow = server.stub().Generate(&context, SmallRequest(100, 48));
  v1::GenerateResponse event;
  ASSERT_TRUE(slow->Read(&event));
  // Who comes later is encoded later: when this is done, all of the slow one's pictures have been
  // put.
  const auto other = v1::ImageGenerationService::NewStub(server.NewChannel());
  EXPECT_TRUE(Generate(*other, SmallRequest(200)).status.ok());
  size_t images = 0;
  while (slow->Read(&event)) images += event.has_image();
  const grpc::Status status = slow->Finish();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(ReasonIn(status), "CLIENT_TOO_SLOW");
  EXPECT_TRUE(DetailOf<google::rpc::RetryInfo>(status).has_value());
  EXPECT_THAT(images, Lt(48u));
}

// It holds its call until the server takes it away, which does not wait for the client.
TEST(SlowClientTest, AClientThatReadsNothingIsNotWaitedFor) {
  TestServerOptions options;
  EngineInfo info = FakeEngineInfo("fake", 64);
  info.config.image_size = 512;
  options.models = {info};
  options.server.send_seconds = 1;
  TestServer server(options);
  grpc::ClientContext streaming;
  const auto stalled = server.stub().Generate(&streaming, SmallRequest(100, 16));
  v1::GenerateResponse event;
  ASSERT_TRUE(stalled->Read(&event));
  EXPECT_THAT(server.NextAccessLine(), HasSubstr("\"reason\":\"CLIENT_TOO_SLOW\""));
  EXPECT_TRUE(server.server().Drain(kPatience));
  while (stalled->Read(&event)) {
  }
  EXPECT_FALSE(stalled->Finish().ok());
}

TEST(SlowClientTest, OfTwoThatHoldTooMuchTogetherTheLargerEnds) {
  TestServerOptions options;
  EngineInfo info = FakeEngineInfo("fake", 64);
  info.config.image_size = 512;  // 768 KiB a picture.
  options.models = {info};
  options.server.delivery_buffer_bytes = 24 << 20;  // Each alone would fit its stream's 64 MiB.
  TestServer server(options);
  const auto small_stub = v1::ImageGenerationService::NewStub(server.NewChannel());
  grpc::ClientContext small_context;
  const auto small = small_stub->Generate(&small_context, SmallRequest(100, 12));
  v1::GenerateResponse event;
  ASSERT_TRUE(small->Read(&event));
  grpc::ClientContext large_context;
  const auto large = server.stub().Generate(&large_context, SmallRequest(200, 40));
  ASSERT_TRUE(large->Read(&event));
  const auto other = v1::ImageGenerationService::NewStub(server.NewChannel());
  EXPECT_TRUE(Generate(*other, SmallRequest(300)).status.ok());  // Behind all of theirs.
  while (large->Read(&event)) {
  }
  EXPECT_EQ(ReasonIn(large->Finish()), "CLIENT_TOO_SLOW");
  uint32_t images = 0;
  while (small->Read(&event)) images += event.has_image();
  EXPECT_TRUE(small->Finish().ok());
  EXPECT_EQ(images, 12u);
}

TEST(SlowClientTest, AnAnswerInOneMessageThatIsAlwaysTooMuchForAllIsAFaultOfTheRequest) {
  TestServerOptions options;
  EngineInfo info = FakeEngineInfo("fake", 64);
  info.config.image_size = 512;
  options.models = {info};
  options.server.delivery_buffer_bytes = 8 << 20;
  TestServer server(options);
  grpc::ClientContext context;
  v1::GenerateImagesRequest request;
  *request.mutable_request() = SmallRequest(7, 32);
  v1::GenerateImagesResponse response;
  const grpc::Status status = server.stub().GenerateImages(&context, request, &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(ReasonIn(status), "REPLY_TOO_LARGE");
  EXPECT_FALSE(DetailOf<google::rpc::RetryInfo>(status).has_value());
  EXPECT_TRUE(Generate(server.stub(), SmallRequest(1)).status.ok());
}

// Of a request that came now.
uint32_t ImagesAhead(TestServer& server) {
  v1::GenerateRequest price = SmallRequest(1);
  price.set_validate_only(true);
  const StreamResult result = Generate(server.stub(), price);
  EXPECT_TRUE(result.status.ok());
  return result.events.empty() ? 1000 : result.events.front().accepted().images_ahead();
}

// Beside streams that nobody reads. It waits for the server, not for its client: so it may try
// again.
TEST(SlowClientTest, AnAnswerInOneMessageThatIsTooMuchNowEndsWithAReasonOfItsOwn) {
  TestServerOptions options;
  EngineInfo info = FakeEngineInfo("fake", 64);
  info.config.image_size = 512;
  options.models = {info};
  options.server.delivery_buffer_bytes = 16 << 20;  // The streams take 12 of it, the answer 8.
  TestServer server(options);
  server.engine().CloseGate();  // All run at the same time.
  grpc::ChannelArguments narrow;
  narrow.SetInt(GRPC_ARG_HTTP2_BDP_PROBE, 0);  // Takes 64 KiB of what is not read, and no more.
  const auto stub = v1::ImageGenerationService::NewStub(
      grpc::CreateCustomChannel(absl::StrCat("127.0.0.1:", server.server().port()),
                                grpc::InsecureChannelCredentials(), narrow));
  grpc::ClientContext contexts[3];
  std::vector<std::unique_ptr<grpc::ClientReader<v1::GenerateResponse>>> unread;
  v1::GenerateResponse event;
  for (grpc::ClientContext& context : contexts) {
    unread.push_back(stub->Generate(&context, SmallRequest(100 * unread.size(), 4)));
    ASSERT_TRUE(unread.back()->Read(&event));
  }
  grpc::Status status;
  std::thread client([&] {
    grpc::ClientContext context;
    v1::GenerateImagesRequest request;
    *request.mutable_request() = SmallRequest(1000, 10);
    v1::GenerateImagesResponse response;
    status = server.stub().GenerateImages(&context, request, &response);
  });
  while (ImagesAhead(server) < 22) std::this_thread::yield();
  server.engine().OpenGate();
  client.join();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(ReasonIn(status), "DELIVERY_BACKLOG");
  EXPECT_TRUE(DetailOf<google::rpc::RetryInfo>(status).has_value());
  for (const auto& stream : unread) {
    while (stream->Read(&event)) {
    }
    EXPECT_TRUE(stream->Finish().ok());
  }
}

TEST(SlowClientTest, PreviewsAreDroppedFirstAndCounted) {
  TestServerOptions options;
  EngineInfo info = FakeEngineInfo("fake", 64);
  info.config.image_size = 512;
  options.models = {info};
  options.server.stream_buffer_bytes = 48 << 20;  // Holds the images; previews get a quarter.
  TestServer server(options);
  v1::GenerateRequest request = SmallRequest(100, 32);
  request.mutable_previews()->set_mode(v1::PreviewOptions::MODE_FULL);
  for (uint32_t scale = 0; scale < 3; ++scale) request.mutable_previews()->add_scales(scale);
  grpc::ClientContext context;
  const auto slow = server.stub().Generate(&context, request);
  const auto other = v1::ImageGenerationService::NewStub(server.NewChannel());
  std::vector<uint32_t> seen(32, 0);
  std::vector<uint32_t> dropped(32, 0);
  uint32_t images = 0;
  v1::GenerateResponse event;
  ASSERT_TRUE(slow->Read(&event));
  EXPECT_TRUE(Generate(*other, SmallRequest(200)).status.ok());
  while (slow->Read(&event)) {
    if (event.has_image()) ++images;
    if (!event.has_preview()) continue;
    ++seen[event.preview().image_index()];
    dropped[event.preview().image_index()] = event.preview().dropped();
    EXPECT_EQ(seen[event.preview().image_index()] + event.preview().dropped(),
              event.preview().scale() + 1);
  }
  EXPECT_TRUE(slow->Finish().ok());
  EXPECT_EQ(images, 32u);
  uint32_t all_dropped = 0;
  for (const uint32_t count : dropped) all_dropped += count;
  EXPECT_GT(all_dropped, 0u);
}

TEST(StressTest, ManyClientsOfWhomSomeLeaveGetTheirOwnImages) {
  TestServer server;
  std::vector<std::thread> clients;
  for (uint64_t client = 0; client < 8; ++client) {
    clients.emplace_back([&server, client] {
      const auto stub = v1::ImageGenerationService::NewStub(server.NewChannel());
      const EngineInfo info = FakeEngineInfo();
      for (uint64_t i = 0; i < 20; ++i) {
        const uint64_t seed = 1000 * (client + 1) + 10 * i;
        v1::GenerateRequest request = SmallRequest(seed, 1 + i % 4);
        request.mutable_previews()->set_mode(v1::PreviewOptions::MODE_FAST);
        grpc::ClientContext context;
        const auto stream = stub->Generate(&context, request);
        for (v1::GenerateResponse event; stream->Read(&event);) {
          if (!event.has_image()) continue;
          EXPECT_EQ(event.image().picture().data(), ExpectedRgb(info, event.image().seed()));
          if (i % 3 == 0) context.TryCancel();
        }
        const auto code = stream->Finish().error_code();
        EXPECT_TRUE(code == grpc::StatusCode::OK ||
                    (i % 3 == 0 && code == grpc::StatusCode::CANCELLED));
      }
    });
  }
  for (std::thread& client : clients) client.join();
  EXPECT_TRUE(server.server().Drain(kPatience));
}

}  // namespace
}  // namespace hmar
