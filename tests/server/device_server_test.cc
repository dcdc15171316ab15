// A whole server on several devices, and one whose device is lost.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <spdlog/logger.h>
#include <spdlog/sinks/null_sink.h>

#include <atomic>
#include <set>
#include <string>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/barrier.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "server/base/errors.h"
#include "tests/server/grpc_details.h"
#include "tests/server/test_server.h"

namespace hmar {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;

constexpr size_t kPasses = 5;  // Of a fake model's image.

TestServerOptions TwoGpus() {
  TestServerOptions options;
  options.server.device = "cuda:0,cuda:1";
  return options;
}

TEST(DeviceServerTest, EveryModelIsOnEveryDeviceAndProbedThere) {
  TestServerOptions options = TwoGpus();
  options.models = {FakeEngineInfo("a"), FakeEngineInfo("b")};
  TestServer server(options);
  for (const char* device : {"cuda:0", "cuda:1"}) {
    for (size_t model : {0, 1}) EXPECT_THAT(server.engine(model, device).steps(), SizeIs(kPasses));
  }
  grpc::ClientContext context;
  v1::ListModelsResponse list;
  ASSERT_TRUE(server.stub().ListModels(&context, {}, &list).ok());
  ASSERT_EQ(list.models_size(), 2);
  EXPECT_THAT(list.models(1).devices(), ElementsAre("cuda:0", "cuda:1"));
}

TEST(DeviceServerTest, ABrokenSecondDeviceNeverServes) {
  TestServerOptions options = TwoGpus();
  options.gate_closed = true;
  TestServer server(options);
  server.engine(0, "cuda:1").SetFaults({.non_finite_seeds = {0}});
  for (const char* device : {"cuda:0", "cuda:1"}) server.engine(0, device).OpenGate();
  EXPECT_THAT(std::string(server.AwaitFatal().message()), HasSubstr("probe"));
  EXPECT_TRUE(server.AwaitHealth(false));
}

TEST(DeviceServerTest, BytesAreTheSameWhereverTheImagesOfARequestRun) {
  TestServer server(TwoGpus());
  const StreamResult result = Generate(server.stub(), SmallRequest(50, 8));
  ASSERT_TRUE(result.status.ok()) << result.status.error_message();
  for (uint32_t i = 0; i < 8; ++i) {
    ASSERT_NE(result.image(i), nullptr);
    EXPECT_EQ(result.image(i)->picture().data(), ExpectedRgb(FakeEngineInfo(), 50 + i));
  }
}

// What Server::Start says when each device loads what `make` gives it.
absl::Status StartStatus(EngineFactory make, ServerOptions options = LoopbackOptions()) {
  const RealClock clock;
  DeviceSeededRandom random;
  ServerDependencies dependencies;
  dependencies.clock = &clock;
  dependencies.random = &random;
  dependencies.log =
      std::make_shared<spdlog::logger>("test", std::make_shared<spdlog::sinks::null_sink_mt>());
  dependencies.make_engine = std::move(make);
  if (options.models.empty()) options.models = {"fake=x"};
  options.device = "cuda:0,cuda:1";
  return Server::Start(options, std::move(dependencies)).status();
}

// Each waits for the other, so one after the other they would never end.
TEST(DeviceServerTest, DevicesLoadSideBySide) {
  auto* both = new absl::Barrier(2);
  EXPECT_TRUE(StartStatus([&](const ModelSpec& spec, const Device&,
                              const ServerOptions&) -> absl::StatusOr<std::unique_ptr<Engine>> {
                if (both->Block()) delete both;  // True for the last that leaves.
                return std::make_unique<FakeEngine>(FakeEngineInfo(spec.name));
              }).ok());
}

TEST(DeviceServerTest, EveryModelHasItsOwnArchitectureAndPrecision) {
  ServerOptions options = LoopbackOptions();
  options.models = {"a=x", "b=y"};
  options.architectures = {"b=hmar-d30"};
  options.precisions = {"a=fp8", "bf16"};
  absl::Mutex mutex;
  std::set<std::string> loaded;
  EXPECT_TRUE(StartStatus(
                  [&](const ModelSpec& spec, const Device& device,
                      const ServerOptions&) -> absl::StatusOr<std::unique_ptr<Engine>> {
                    absl::MutexLock lock(&mutex);
                    loaded.insert(absl::StrCat(device.name, " ", spec.name, " ", spec.path, " ",
                                               spec.architecture, " ", spec.precision));
                    return std::make_unique<FakeEngine>(FakeEngineInfo(spec.name));
                  },
                  options)
                  .ok());
  EXPECT_THAT(loaded, ElementsAre("cuda:0 a x  fp8", "cuda:0 b y hmar-d30 bf16", "cuda:1 a x  fp8",
                                  "cuda:1 b y hmar-d30 bf16"));
}

TEST(DeviceServerTest, ADeviceThatCannotLoadIsAnErrorAtStart) {
  const absl::Status status =
      StartStatus([](const ModelSpec& spec, const Device& device,
                     const ServerOptions&) -> absl::StatusOr<std::unique_ptr<Engine>> {
        if (device.ordinal == 1) return absl::FailedPreconditionError("cuda:1: no such device");
        return std::make_unique<FakeEngine>(FakeEngineInfo(spec.name));
      });
  EXPECT_THAT(std::string(status.message()), HasSubstr("cuda:1: no such device"));
}

TEST(DeviceServerTest, DevicesThatHoldDifferentWeightsAreAnErrorAtStart) {
  const absl::Status status =
      StartStatus([](const ModelSpec& spec, const Device& device,
                     const ServerOptions&) -> absl::StatusOr<std::unique_ptr<Engine>> {
        EngineInfo info = FakeEngineInfo(spec.name);
        info.digest = absl::StrCat(device.ordinal);
        return std::make_unique<FakeEngine>(info);
      });
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()), AllOf(HasSubstr("fake"), HasSubstr("different")));
}

// Waits for the second that a model may take to load, since nothing loads before it is late.
TEST(DeviceServerTest, AModelThatLoadsForTooLongIsToldAndStillWaitedFor) {
  ServerOptions options = LoopbackOptions();
  options.load_seconds = 1;
  options.models = {"fake=x"};
  absl::Notification late;
  std::string told;
  const auto make = [&](const ModelSpec& spec, const Device& device,
                        const ServerOptions&) -> absl::StatusOr<std::unique_ptr<Engine>> {
    if (device.ordinal == 1) late.WaitForNotification();
    return std::make_unique<FakeEngine>(FakeEngineInfo(spec.name));
  };
  spdlog::logger log("test", std::make_shared<spdlog::sinks::null_sink_mt>());
  const auto engines =
      LoadModels(options, *ParseDevices("cuda:0,cuda:1"), make, &log, [&](const std::string& what) {
        told = what;
        late.Notify();
      });
  EXPECT_TRUE(engines.ok()) << engines.status();
  EXPECT_THAT(told, HasSubstr("model fake on cuda:1"));
}

// Lost devices.

TEST(LostDeviceTest, FailsWhatRunsAndWhatWaitsWithAReasonOfItsOwn) {
  TestServerOptions options;
  options.models = {FakeEngineInfo("fake", 1)};
  TestServer server(options);
  server.engine().CloseGate();
  StreamResult runs;
  StreamResult waits;
  std::thread first([&] { runs = Generate(server.stub(), SmallRequest(1)); });
  ASSERT_TRUE(server.engine().AwaitStepAtGate());
  grpc::ClientContext context;
  const auto stream = server.stub().Generate(&context, SmallRequest(2));
  v1::GenerateResponse accepted;
  ASSERT_TRUE(stream->Read(&accepted));  // There is one slot: it waits.
  server.engine().SetFaults({.lost_after_steps = 0});
  server.engine().OpenGate();
  first.join();
  EXPECT_FALSE(stream->Read(&accepted));
  const grpc::Status waited = stream->Finish();
  for (const grpc::Status& status : {runs.status, waited}) {
    EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAVAILABLE);
    EXPECT_EQ(ReasonIn(status), "DEVICE_LOST");
    EXPECT_THAT(status.error_message(), AllOf(HasSubstr("device cpu"), HasSubstr("719")));
  }
}

TEST(LostDeviceTest, EndsReadinessAndTellsTheProgramOnce) {
  TestServer server;
  server.engine().SetFaults({.lost_after_steps = 0});
  EXPECT_EQ(ReasonIn(Generate(server.stub(), SmallRequest(1)).status), "DEVICE_LOST");
  const absl::Status fatal = server.AwaitFatal();
  EXPECT_EQ(fatal.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(ReasonName(fatal), "DEVICE_LOST");
  EXPECT_TRUE(server.AwaitHealth(false));
  const StreamResult late = Generate(server.stub(), SmallRequest(2));
  EXPECT_EQ(late.status.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(ReasonIn(late.status), "DEVICE_LOST");
}

TEST(LostDeviceTest, DuringTheProbeIsALostDeviceToo) {
  TestServerOptions options = TwoGpus();
  options.gate_closed = true;
  TestServer server(options);
  server.engine(0, "cuda:1").SetFaults({.lost_after_steps = 2});
  for (const char* device : {"cuda:0", "cuda:1"}) server.engine(0, device).OpenGate();
  const absl::Status fatal = server.AwaitFatal();
  EXPECT_EQ(ReasonName(fatal), "DEVICE_LOST");
  EXPECT_THAT(std::string(fatal.message()), HasSubstr("cuda:1"));
  EXPECT_TRUE(server.AwaitHealth(false));
}

// A device whose probe the machine held up looks slow and gets nothing at first, so more than one
// call may be needed.
TEST(LostDeviceTest, OneOfTwoEndsTheOtherAfterItsStep) {
  std::atomic<size_t> steps = 0;  // Of the healthy one.
  size_t steps_at_loss = 0;
  {
    TestServer server(TwoGpus());
    server.engine(0, "cuda:0").SetFaults({.during_step = [&] { ++steps; }});
    server.engine(0, "cuda:1").SetFaults({.lost_after_steps = 0});
    StreamResult result;
    for (int i = 0; i < 10'000 && result.status.ok(); ++i) {
      result = Generate(server.stub(), SmallRequest(1, 16));
    }
    steps_at_loss = steps;
    EXPECT_EQ(ReasonIn(result.status), "DEVICE_LOST");
    EXPECT_THAT(result.status.error_message(), HasSubstr("cuda:1"));
    EXPECT_EQ(ReasonIn(Generate(server.stub(), SmallRequest(2)).status), "DEVICE_LOST");
    EXPECT_FALSE(server.server().Drain(kPatience));
  }  // Joins its thread.
  EXPECT_LE(steps, steps_at_loss + 1);
}

// Steps that hang. A second is the least limit; until it has passed nothing happens.

TestServerOptions HangLimit(uint32_t seconds) {
  TestServerOptions options;
  options.server.hang_seconds = seconds;
  return options;
}

TEST(HungStepTest, IsALostDevice) {
  TestServer server(HangLimit(1));
  server.engine().CloseGate();
  const StreamResult result = Generate(server.stub(), SmallRequest(1));
  EXPECT_EQ(result.status.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(ReasonIn(result.status), "DEVICE_LOST");
  EXPECT_THAT(result.status.error_message(),
              AllOf(HasSubstr("device cpu is lost"), HasSubstr("a step hangs")));
  EXPECT_EQ(ReasonName(server.AwaitFatal()), "DEVICE_LOST");
  EXPECT_TRUE(server.AwaitHealth(false));
  EXPECT_TRUE(server.server().device_lost());
  EXPECT_EQ(ReasonIn(Generate(server.stub(), SmallRequest(2)).status), "DEVICE_LOST");
  EXPECT_FALSE(server.server().Drain(kPatience));  // Which does not wait for the step.
}

TEST(HungStepTest, InADrainEndsTheDrain) {
  TestServer server(HangLimit(1));
  server.engine().CloseGate();
  StreamResult result;
  std::thread client([&] { result = Generate(server.stub(), SmallRequest(1)); });
  ASSERT_TRUE(server.engine().AwaitStepAtGate());
  EXPECT_FALSE(server.server().Drain(absl::InfiniteDuration()));
  client.join();
  EXPECT_EQ(ReasonIn(result.status), "DEVICE_LOST");
}

TEST(HungStepTest, InTheProbeIsALostDeviceWithoutALimitOfItsOwn) {
  TestServerOptions options = HangLimit(0);
  options.server.probe_seconds = 1;
  options.gate_closed = true;
  TestServer server(options);
  const absl::Status fatal = server.AwaitFatal();
  EXPECT_EQ(ReasonName(fatal), "DEVICE_LOST");
  EXPECT_THAT(std::string(fatal.message()), HasSubstr("no picture within 1s"));
}

}  // namespace
}  // namespace hmar
