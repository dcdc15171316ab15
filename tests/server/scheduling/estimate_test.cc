// How good estimates are: a server under a random load, on a device whose costs are known.

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/fakes/puppet_device.h"

namespace hmar {
namespace {

// As the bundled model is.
EngineInfo BundledInfo() {
  EngineInfo info = FakeEngineInfo("fake", 64);
  info.config.patch_nums = {1, 2, 3, 4, 5, 6, 8};
  info.config.image_size = 32;
  info.config.sampling.mask_schedule = {{1}, {1, 3}, {1, 1, 2, 5}, {16}, {25}, {36}, {64}};
  return info;
}

SchedulerOptions Options() {
  SchedulerOptions options;
  options.max_queued_images = 128;
  options.max_queued_images_per_client = 128;
  options.max_step_rows = 1024;
  options.reserved_slots = 4;
  return options;
}

// What clients ask for.
struct Kind {
  std::string client;
  double weight = 1;
  uint32_t images = 1;
  bool full_previews = false;
  bool edit = false;
};

class EstimateTest : public ::testing::Test {
 protected:
  EstimateTest() {
    device_.SetCosts({absl::Milliseconds(3), absl::Microseconds(120), absl::Milliseconds(8),
                      absl::Milliseconds(20)});
    device_.Submit(999);
    device_.RunAll();
  }

  Work WorkOf(const Kind& kind) {
    Work work = device_.MakeWork(seed_, kind.images);
    seed_ += kind.images;
    work.origin.client = kind.client;
    if (kind.full_previews) {
      work.job.prototype.preview_mode = PreviewMode::kFull;
      work.job.prototype.preview_scales = std::vector<bool>(7, true);
    }
    if (kind.edit) {
      auto picture = std::make_shared<EditPicture>();
      picture->picture = {32, 32, std::vector<uint8_t>(32 * 32 * 3)};
      picture->digest = absl::StrCat(seed_);
      work.picture = std::move(picture);
      const ModelConfig& config = device_.engine().info().config;
      work.job.prototype.keep =
          std::make_shared<const std::vector<KeepMap>>(KeepMaps(KeepMap(64, 0), config));
    }
    return work;
  }

  struct Open {
    std::shared_ptr<RecordingListener> listener;
    uint32_t images;
    absl::Time submitted;
    absl::Duration estimate;
    std::string client;
  };

  void Submit(const Kind& kind) {
    Work work = WorkOf(kind);
    auto listener = std::static_pointer_cast<RecordingListener>(work.listener);
    const auto admission = device_.scheduler().Submit(std::move(work));
    if (!admission.ok()) return;  // The queue is full.
    open_.push_back({std::move(listener), kind.images, device_.clock().Now(),
                     admission->estimated_time, kind.client});
  }

  // Estimates over the truth of the calls that have ended, if they came after `from`.
  void Collect(absl::Time from, std::map<std::string, std::vector<double>>* ratios) {
    std::erase_if(open_, [&](const Open& call) {
      if (call.listener->images().size() < call.images) return false;
      const absl::Duration truth = device_.clock().Now() - call.submitted;
      const double ratio = absl::FDivDuration(call.estimate, truth);
      if (call.submitted >= from) {
        (*ratios)[call.client].push_back(ratio);
        (*ratios)["all"].push_back(ratio);
      }
      return true;
    });
  }

  // Sorted, by client and of "all", of two minutes of so many calls a second, the first 20 s left
  // out.
  std::map<std::string, std::vector<double>> Ratios(const std::vector<Kind>& kinds, double rate) {
    std::vector<double> weights;
    for (const Kind& kind : kinds) weights.push_back(kind.weight);
    std::discrete_distribution<size_t> choose(weights.begin(), weights.end());
    std::exponential_distribution<double> gap(rate);
    std::map<std::string, std::vector<double>> ratios;
    const absl::Time start = device_.clock().Now();
    const absl::Time end = start + absl::Minutes(2);
    absl::Time due = start;
    while (due < end || !open_.empty()) {
      const absl::Time now = device_.clock().Now();
      for (; due <= now && due < end; due += absl::Seconds(gap(random_))) {
        Submit(kinds[choose(random_)]);
      }
      if (!device_.RunOne()) device_.clock().Advance(std::max(due - now, absl::Milliseconds(1)));
      Collect(start + absl::Seconds(20), &ratios);
    }
    for (auto& [client, some] : ratios) std::sort(some.begin(), some.end());
    return ratios;
  }

  // Half within 30 % of the truth, nine in ten within a factor of two.
  static void ExpectGood(const std::vector<double>& ratios) {
    ASSERT_GT(ratios.size(), 50u);
    const auto quantile = [&](double q) { return ratios[static_cast<size_t>(q * ratios.size())]; };
    EXPECT_NEAR(quantile(0.5), 1, 0.3);
    EXPECT_GT(quantile(0.05), 0.5);
    EXPECT_LT(quantile(0.95), 2);
  }

  const std::vector<Kind> one_ = {{"plain"}};
  const std::vector<Kind> mix_ = {
      {"plain", 4}, {"previews", 2, 1, true}, {"batches", 1, 8}, {"edits", 2, 1, false, true}};

 private:
  uint64_t seed_ = 1000;
  std::mt19937 random_{7};
  std::vector<Open> open_;
  PuppetDevice device_{{BundledInfo()}, Options()};
};

// The device makes 20 calls a second of the one kind, 7 of the mix.

TEST_F(EstimateTest, HoldOfOneClientBelowWhatTheDeviceCan) {
  ExpectGood(Ratios(one_, 16).at("all"));
}

TEST_F(EstimateTest, HoldOfOneClientAtThreeTimesWhatTheDeviceCan) {
  ExpectGood(Ratios(one_, 60).at("all"));
}

TEST_F(EstimateTest, HoldOfSeveralClientsBelowWhatTheDeviceCan) {
  ExpectGood(Ratios(mix_, 5.5).at("all"));
}

// Who decodes much, or sends batches, is told no less of the truth than others.
TEST_F(EstimateTest, HoldOfEachOfSeveralClientsAtThreeTimesWhatTheDeviceCan) {
  const auto ratios = Ratios(mix_, 21);
  ExpectGood(ratios.at("all"));
  for (const Kind& kind : mix_) {
    const std::vector<double>& own = ratios.at(kind.client);
    EXPECT_NEAR(own[own.size() / 2], 1, 0.35) << kind.client;
  }
}

}  // namespace
}  // namespace hmar
