#include "client/load/load_run.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <set>
#include <thread>

#include "client/png_codec.h"
#include "tests/client/load/answering_service.h"

namespace hmar::load {
namespace {

constexpr ModelFacts kTiny{.classes = 2, .image_size = 8};

class LoadRunTest : public testing::Test {
 protected:
  LoadRunTest() {
    shape_.rate = 1000;
    shape_.arrivals = Arrivals::kConstant;
    shape_.requests = 20;
    shape_.timeout = absl::Seconds(120);  // Of a machine that is busy.
  }

  Kind OfModel(const std::string& model) {
    Kind kind;
    kind.name = "kind";
    kind.model = model;
    return kind;
  }

  // Runs the load of these kinds to its end.
  RunReport Execute(const std::vector<Kind>& kinds, ImageMemory* memory = nullptr) {
    std::vector<RequestMaker> makers;
    for (const Kind& kind : kinds) makers.push_back(RequestMaker::Make(kind, kTiny).value());
    Channels channels(server_.address(), kinds, 2);
    EXPECT_TRUE(channels.Connect(absl::Seconds(60)).ok());
    const std::vector<std::string> keys(kinds.size());
    return LoadRun(shape_, {kinds, makers, channels, memory, stop_, keys}).Execute(seen_);
  }

  std::vector<ReceivedCall> Received() { return server_.service().calls(); }

  AnsweringServer server_;
  LoadShape shape_;
  StopSignal stop_;
  Seen seen_;
};

TEST_F(LoadRunTest, AnOpenLoopSendsEveryCallAndTakesEveryAnswer) {
  Kind kind = OfModel("");
  kind.images = 2;
  kind.previews = "fast";
  const RunReport run = Execute({kind});
  EXPECT_EQ(run.all.due, 20U);
  EXPECT_EQ(run.all.ok, 20U);
  EXPECT_EQ(run.all.images, 40U);
  EXPECT_EQ(run.all.latency_ms.count, 20U);
  EXPECT_EQ(run.all.accepted_ms.count, 20U);
  EXPECT_EQ(run.all.first_preview_ms.count, 20U);
  EXPECT_EQ(run.all.estimate_ratio.count, 20U);
  EXPECT_GT(run.all.estimate_ratio.p50, 0);
  EXPECT_EQ(run.rate, 1000);
  EXPECT_EQ(seen_.by_code, (std::map<std::string, uint64_t>{{"OK", 20}}));
  EXPECT_EQ(seen_.images, 40U);
  std::set<uint64_t> seeds;
  for (const ReceivedCall& call : Received()) {
    seeds.insert(call.request.seed());
    EXPECT_EQ(call.request.class_id(), call.request.seed() % 2);
  }
  EXPECT_EQ(seeds.size(), 20U);
  EXPECT_EQ(*seeds.rbegin(), 19U);
}

TEST_F(LoadRunTest, CallsAreSentWhateverTheOpenOnesDo) {
  std::optional<RunReport> run;
  std::thread load([&] { run = Execute({OfModel("hang")}); });
  server_.service().WaitForOpen(20);  // Not one has an answer.
  server_.service().Release();
  load.join();
  EXPECT_EQ(run->all.ok, 20U);
}

TEST_F(LoadRunTest, BeyondMaxOutstandingCallsAreCountedAsNotSent) {
  shape_.max_outstanding = 3;
  shape_.rate = 100'000;
  shape_.timeout = absl::Seconds(3);  // The sender takes a fraction of a millisecond.
  const RunReport run = Execute({OfModel("hang")});
  EXPECT_EQ(run.all.sent, 3U);
  EXPECT_EQ(run.all.not_sent, 17U);
  EXPECT_EQ(run.all.timed_out, 3U);
  EXPECT_LE(server_.service().peak_open(), 3);
}

TEST_F(LoadRunTest, AClosedLoopHasSoManyCallsOpenAndNoMore) {
  shape_.rate.reset();
  shape_.concurrency = 3;
  const RunReport run = Execute({OfModel("")});
  EXPECT_EQ(run.all.ok, 20U);
  EXPECT_LE(server_.service().peak_open(), 3);
  EXPECT_EQ(run.concurrency, 3U);
  EXPECT_FALSE(run.rate);
}

TEST_F(LoadRunTest, AClosedLoopOfATimeEndsWithIt) {
  shape_.rate.reset();
  shape_.concurrency = 2;
  shape_.requests.reset();
  shape_.duration = absl::Milliseconds(50);
  const RunReport run = Execute({OfModel("")});
  EXPECT_EQ(run.sending_seconds, 0.05);
  EXPECT_EQ(run.all.ok, run.all.sent);
}

TEST_F(LoadRunTest, OtherBytesOfTheSameSeedAreFound) {
  shape_.distinct_seeds = 4;
  ImageMemory memory;
  const RunReport run = Execute({OfModel("moody")}, &memory);
  EXPECT_EQ(memory.compared(), 16U);
  EXPECT_EQ(run.all.mismatched, 16U);
  EXPECT_EQ(seen_.mismatched, 16U);
}

TEST_F(LoadRunTest, EqualBytesAreFineAndDegradedImagesAreNotCompared) {
  shape_.distinct_seeds = 4;
  ImageMemory memory;
  EXPECT_EQ(Execute({OfModel("")}, &memory).all.ok, 20U);
  EXPECT_EQ(memory.compared(), 16U);
  const RunReport degraded = Execute({OfModel("degraded")}, &memory);
  EXPECT_EQ(degraded.all.ok, 20U);
  EXPECT_EQ(degraded.all.degraded, 20U);
  EXPECT_EQ(memory.compared(), 16U);
}

TEST_F(LoadRunTest, RefusalsAreCountedByCodeAndReason) {
  const RunReport run = Execute({OfModel("full")});
  EXPECT_EQ(run.all.failed, 20U);
  EXPECT_EQ(run.all.errors.at({"RESOURCE_EXHAUSTED", "QUEUE_FULL"}), 20U);
  EXPECT_EQ(run.all.refusal_ms.count, 20U);
  EXPECT_EQ(seen_.by_code.at("RESOURCE_EXHAUSTED"), 20U);
}

TEST_F(LoadRunTest, AnAnswerToAnotherRequestIsNone) {
  const RunReport run = Execute({OfModel("lying")});
  EXPECT_EQ(run.all.no_answer, 20U);
  EXPECT_EQ(run.all.errors.at({"DATA_LOSS", ""}), 20U);
  EXPECT_EQ(seen_.no_answers, 20U);
  EXPECT_EQ(run.all.images, 0U);
}

TEST_F(LoadRunTest, OneReplyIsAnAnswerToo) {
  Kind kind = OfModel("");
  kind.method = "generate_images";
  kind.images = 3;
  const RunReport run = Execute({kind});
  EXPECT_EQ(run.all.ok, 20U);
  EXPECT_EQ(run.all.images, 60U);
  EXPECT_EQ(run.all.accepted_ms.count, 0U);
}

TEST_F(LoadRunTest, ASlowReaderGetsItsAnswer) {
  Kind kind = OfModel("");
  kind.read_delay_ms = 1;
  const RunReport run = Execute({kind});
  EXPECT_EQ(run.all.ok, 20U);
  EXPECT_EQ(run.all.estimate_ratio.count, 0U);  // Its time is the reader's.
}

TEST_F(LoadRunTest, WhatAKindSaysIsSent) {
  Kind kind = OfModel("");
  kind.method = "edit";
  kind.priority = 7;
  kind.on_deadline = "degrade";
  kind.deadline_ms = 3'000'000;
  kind.format = "rgb";
  kind.principal = "alice";
  kind.uploads = 2;
  Kind other = OfModel("");
  other.principal = "bob";
  other.on_deadline = "refuse";
  Kind nobody = OfModel("");
  EXPECT_EQ(Execute({kind, other, nobody}).all.ok, 20U);
  std::set<std::string> addresses;
  std::set<std::string> uploads;
  for (const ReceivedCall& call : Received()) {
    addresses.insert(call.forwarded_for);
    if (call.forwarded_for.empty()) {
      EXPECT_EQ(call.request.scheduling().on_deadline(), v1::Scheduling::ON_DEADLINE_UNSPECIFIED);
    } else if (!call.request.has_edit()) {
      EXPECT_EQ(call.request.scheduling().on_deadline(), v1::Scheduling::ON_DEADLINE_FAIL);
    }
    if (!call.request.has_edit()) continue;
    uploads.insert(call.request.edit().image());
    EXPECT_EQ(DecodePng(call.request.edit().image(), "upload")->width, 8U);
    EXPECT_EQ(call.request.edit().box().x0(), 2U);
    EXPECT_EQ(call.request.edit().box().x1(), 6U);
    EXPECT_EQ(call.request.scheduling().priority(), 7);
    EXPECT_EQ(call.request.scheduling().on_deadline(), v1::Scheduling::ON_DEADLINE_DEGRADE);
    EXPECT_EQ(call.request.output().format(), v1::OutputOptions::FORMAT_RGB8);
    EXPECT_GT(call.deadline, absl::Seconds(2'000));
    EXPECT_LE(call.deadline, absl::Seconds(3'100));  // gRPC rounds it up.
  }
  EXPECT_EQ(addresses, (std::set<std::string>{"127.34.19.96", "127.198.160.82", ""}));
  EXPECT_EQ(uploads.size(), 2U);
}

TEST_F(LoadRunTest, TheClientCancelsAsItsKindSays) {
  Kind kind = OfModel("hang");
  kind.cancel_after_ms = 1;
  const RunReport run = Execute({kind});
  EXPECT_EQ(run.all.cancelled, 20U);
  EXPECT_EQ(run.all.failed, 0U);
  EXPECT_EQ(seen_.doubtful, 20U);
}

TEST_F(LoadRunTest, ADeadlineIsTheCallsOwn) {
  Kind kind = OfModel("hang");
  kind.deadline_ms = 1;
  EXPECT_EQ(Execute({kind}).all.errors.at({"DEADLINE_EXCEEDED", ""}), 20U);
}

TEST_F(LoadRunTest, AStopCancelsWhatIsOpenAndSendsNoMore) {
  shape_.rate.reset();
  shape_.concurrency = 2;
  std::optional<RunReport> run;
  Kind slow = OfModel("hang");
  slow.read_delay_ms = 60'000;  // Does not keep it from ending.
  std::thread load([&] { run = Execute({slow}); });
  server_.service().WaitForOpen(2);
  stop_.Stop();
  load.join();
  EXPECT_EQ(run->all.sent, 2U);
  EXPECT_EQ(run->all.interrupted, 2U);
}

TEST_F(LoadRunTest, AfterAStopNothingIsSent) {
  stop_.Stop();
  EXPECT_EQ(Execute({OfModel("")}).all.sent, 0U);
  EXPECT_TRUE(Received().empty());
}

}  // namespace
}  // namespace hmar::load
