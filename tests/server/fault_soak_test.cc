// A whole server over loopback, on two devices with engines that throw, fail, lie and run out of
// memory, under clients that share it, leave, hurry and ask for what cannot be. Whatever happens:
// every call ends, only the guilty fail, equal requests give the bytes that they give alone, and
// every request and every image is accounted for, in the access log and in the metrics.
//
// What is random follows from a seed, which a failure prints; HMAR_SOAK_SEED=N repeats it, but for
// the order in which threads run.

#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <map>
#include <nlohmann/json.hpp>
#include <thread>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "client/metrics_text.h"
#include "tests/server/soak_calls.h"
#include "tests/server/test_server.h"

namespace hmar {
namespace {

constexpr size_t kCalls = 600;
constexpr size_t kClients = 8;

const std::vector<std::string>& Models() {
  static const auto* const models = new std::vector<std::string>{"a", "b"};
  return *models;
}

const std::vector<std::string>& Devices() {
  static const auto* const devices = new std::vector<std::string>{"cuda:0", "cuda:1"};
  return *devices;
}

uint64_t SoakSeed() {
  uint64_t seed = 0;
  const char* given = std::getenv("HMAR_SOAK_SEED");
  if (given != nullptr && absl::SimpleAtoi(given, &seed)) return seed;
  return std::random_device()();
}

TestServerOptions SoakServer() {
  TestServerOptions options;
  options.server.device = "cuda:0,cuda:1";
  options.server.trust_forwarded_for = true;
  options.server.max_queued_images = 40;
  options.server.max_queued_images_per_client = 24;
  options.models.clear();
  for (const std::string& name : Models()) options.models.push_back(FakeEngineInfo(name));
  return options;
}

// How the server fares while its clients are at it.
enum class Finale { kNone, kDrain, kLostDevice };

class FaultSoakTest : public ::testing::TestWithParam<Finale> {
 protected:
  FaultSoakTest() : plan_(PlanSoak(random_, kCalls, Models())), ends_(kCalls) {
    for (FakeEngine* engine : Engines()) engine->SetFaults(FaultsNow(engine, random_()));
  }

  std::vector<FakeEngine*> Engines() {
    std::vector<FakeEngine*> engines;
    for (const std::string& device : Devices()) {
      for (size_t model = 0; model < Models().size(); ++model) {
        engines.push_back(&server_.engine(model, device));
      }
    }
    return engines;
  }

  // The guilty are always the same; what memory there is and how late things come changes with the
  // steps.
  FakeFaults FaultsNow(FakeEngine* engine, uint64_t seed) {
    SoakRandom random(seed);
    FakeFaults faults = plan_.faults;
    faults.failure_delay_steps = random() % 3;
    faults.picture_delay_steps = random() % 3;
    faults.preview_delay_steps = random() % 3;
    if (random() % 2 == 0) faults.max_step_images = 1 + random() % 6;
    if (random() % 2 == 0) faults.max_encode_pictures = 1 + random() % 2;
    const uint64_t next = random();
    faults.during_step = [this, engine, next, left = std::make_shared<int>(random() % 20)] {
      if (--*left > 0) return;  // On the engine's own thread.
      absl::MutexLock lock(&lost_mutex_);
      if (!lost_) engine->SetFaults(FaultsNow(engine, next));
    };
    return faults;
  }

  void LoseDevice() {
    absl::MutexLock lock(&lost_mutex_);
    lost_ = true;
    for (FakeEngine* engine : {&server_.engine(0, "cuda:1"), &server_.engine(1, "cuda:1")}) {
      FakeFaults faults = plan_.faults;
      faults.lost_after_steps = 0;
      engine->SetFaults(faults);
    }
  }

  // All calls, by several clients at the same time. The finale comes when a third has ended.
  void RunAll() {
    std::atomic<size_t> next = 0;
    std::atomic<size_t> ended = 0;
    absl::Notification third;
    std::vector<std::thread> clients;
    for (size_t i = 0; i < kClients; ++i) {
      clients.emplace_back([&] {
        const auto stub = v1::ImageGenerationService::NewStub(server_.NewChannel());
        for (size_t call = next++; call < kCalls; call = next++) {
          ends_[call] = RunCall(*stub, plan_.calls[call]);
          if (++ended == kCalls / 3) third.Notify();
        }
      });
    }
    third.WaitForNotification();
    if (GetParam() == Finale::kDrain) drained_ = server_.server().Drain(kPatience);
    if (GetParam() == Finale::kLostDevice) LoseDevice();
    for (std::thread& client : clients) client.join();
  }

  std::set<std::string> ServerEnds() const {
    if (GetParam() == Finale::kDrain) return {"DRAINING"};
    if (GetParam() == Finale::kLostDevice) return {"DEVICE_LOST"};
    return {};
  }

  // The sum of all its samples that have these labels.
  double Metric(const std::string& name, const std::map<std::string, std::string>& labels = {}) {
    const auto samples = ParseMetrics(server_.server().MetricsText());
    EXPECT_TRUE(samples.ok()) << samples.status();
    return samples.ok() ? SumOf(*samples, name, labels) : 0;
  }

  // What was cancelled last leaves the engines before their next steps.
  bool AwaitIdle() {
    const absl::Time patience = absl::Now() + kPatience;
    while (absl::Now() < patience) {
      bool idle = Metric("hmar_queue_images") + Metric("hmar_running_images") == 0;
      for (FakeEngine* engine : Engines()) idle = idle && engine->images_held() == 0;
      if (idle) return true;
    }
    return false;
  }

  // The soak is one only if things go wrong in it, and right.
  void ExpectVariety() const {
    std::map<std::string, int> seen;
    for (const SoakEnd& end : ends_) {
      ++seen[end.status.ok() ? "OK" : absl::StrCat(end.status.error_code(), " ", end.reason)];
    }
    EXPECT_GT(seen["OK"], static_cast<int>(kCalls / 10));
    EXPECT_GT(seen.size(), 4u);
  }

  const uint64_t seed_ = SoakSeed();
  const ::testing::ScopedTrace trace_{__FILE__, __LINE__, absl::StrCat("HMAR_SOAK_SEED=", seed_)};
  SoakRandom random_{seed_};
  SoakPlan plan_;
  std::vector<SoakEnd> ends_;
  absl::Mutex lost_mutex_;
  bool lost_ ABSL_GUARDED_BY(lost_mutex_) = false;
  bool drained_ = false;
  TestServer server_{SoakServer()};
};

// What the lines of the access log say, once all are there.
struct Books {
  std::map<std::string, nlohmann::json> lines;  // By request id.
  std::map<std::string, uint64_t> by_code;
  uint64_t images_accepted = 0;
  uint64_t images_doubtful = 0;  // Of edits that ended while they were being submitted.

  void Add(const nlohmann::json& line) {
    EXPECT_TRUE(lines.emplace(line["id"], line).second) << "two lines: " << line;
    ++by_code[line["code"]];
    images_accepted += line["images_accepted"].get<uint64_t>();
    if (line["images_accepted"] != 0 || !line.contains("edit")) return;
    if (line["code"] == "CANCELLED" || line["code"] == "DEADLINE_EXCEEDED") {
      images_doubtful += line["images"].get<uint64_t>();
    }
  }
};

// A call whose end is the server's word has a line that says the same; one that saw Accepted has
// one, too.
std::string WrongWithLine(const SoakEnd& end, const nlohmann::json* line) {
  const bool servers_word = end.status.ok() || !end.reason.empty();
  if (line == nullptr) return servers_word || end.accepted ? "no line" : "";
  if (servers_word && line->value("reason", "") != end.reason) return "another reason";
  if (end.status.ok() && (*line)["images_sent"] != end.images.size()) return "other images";
  return "";
}

TEST_P(FaultSoakTest, EveryRequestIsAccountedForAndOnlyTheGuiltyFail) {
  RunAll();
  for (size_t i = 0; i < kCalls; ++i) {
    EXPECT_EQ(WrongWith(plan_.calls[i], ends_[i], ServerEnds()), "")
        << plan_.calls[i].request.ShortDebugString();
  }
  ExpectVariety();
  EXPECT_TRUE(GetParam() != Finale::kNone || AwaitIdle());
  const bool lost = GetParam() == Finale::kLostDevice;
  if (GetParam() != Finale::kDrain) drained_ = server_.server().Drain(kPatience);
  EXPECT_NE(drained_, lost);

  Books books;
  for (const std::string& line : server_.TakeAccessLines()) books.Add(nlohmann::json::parse(line));
  for (size_t i = 0; i < kCalls; ++i) {
    const auto line = books.lines.find(plan_.calls[i].id());
    EXPECT_EQ(WrongWithLine(ends_[i], line == books.lines.end() ? nullptr : &line->second), "")
        << plan_.calls[i].id();
  }
  EXPECT_LE(books.lines.size(), kCalls);
  EXPECT_EQ(Metric("hmar_requests_total"), static_cast<double>(books.lines.size()));
  for (const auto& [code, calls] : books.by_code) {
    EXPECT_EQ(Metric("hmar_requests_total", {{"code", code}}), static_cast<double>(calls)) << code;
  }
  const double images = Metric("hmar_images_total");
  EXPECT_GE(images, static_cast<double>(books.images_accepted));
  EXPECT_LE(images, static_cast<double>(books.images_accepted + books.images_doubtful));
  EXPECT_EQ(Metric("hmar_queue_images"), 0);
}

INSTANTIATE_TEST_SUITE_P(Finales, FaultSoakTest,
                         ::testing::Values(Finale::kNone, Finale::kDrain, Finale::kLostDevice),
                         [](const auto& info) {
                           switch (info.param) {
                             case Finale::kDrain:
                               return std::string("Drain");
                             case Finale::kLostDevice:
                               return std::string("LostDevice");
                             default:
                               return std::string("Quiet");
                           }
                         });

}  // namespace
}  // namespace hmar
