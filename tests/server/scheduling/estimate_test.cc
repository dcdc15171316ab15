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
    std::string kind;
  };

  // Estimate over truth, sorted, of what was taken in so long of a load of so many calls a second,
  // after `warm_up`.
  std::vector<double> Ratios(const std::vector<Kind>& kinds, double rate, absl::Duration warm_up,
                             absl::Duration duration) {
    std::vector<double> weights, ratios;
    for (const Kind& kind : kinds) weights.push_back(kind.weight);
    std::discrete_distribution<size_t> choose(weights.begin(), weights.end());
    std::exponential_distribution<double> gap(rate);
    std::vector<Open> open;
    std::map<std::string, std::vector<double>> by_kind;
    const absl::Time start = device_.clock().Now();
    absl::Time due = start;
    while (due < start + duration || !open.empty()) {
      const absl::Time now = device_.clock().Now();
      for (; due <= now && due < start + duration; due += absl::Seconds(gap(random_))) {
        const size_t k = choose(random_);
        Work work = WorkOf(kinds[k]);
        auto listener = std::static_pointer_cast<RecordingListener>(work.listener);
        const uint32_t images = work.job.images;
        const auto admission = device_.scheduler().Submit(std::move(work));
        if (admission.ok())
          open.push_back({listener, images, now, admission->estimated_time, kinds[k].client});
      }
      if (!device_.RunOne()) device_.clock().Advance(std::max(due - now, absl::Milliseconds(1)));
      std::erase_if(open, [&](const Open& call) {
        if (call.listener->images().size() < call.images) return false;
        const absl::Duration truth = device_.clock().Now() - call.submitted;
        if (call.submitted >= start + warm_up) {
          ratios.push_back(absl::FDivDuration(call.estimate, truth));
          by_kind[call.kind].push_back(ratios.back());
        }
        return true;
      });
    }
    for (auto& [kind, some] : by_kind) {
      std::sort(some.begin(), some.end());
      Print("   " + kind, some);
    }
    std::sort(ratios.begin(), ratios.end());
    return ratios;
  }

  static void Print(const std::string& name, const std::vector<double>& r) {
    printf("%s n %zu p5 %.2f p50 %.2f p95 %.2f\n", name.c_str(), r.size(), r[r.size() / 20],
           r[r.size() / 2], r[r.size() * 19 / 20]);
  }

  uint64_t seed_ = 1000;
  std::mt19937 random_{7};
  PuppetDevice device_{{BundledInfo()}, Options()};
};

TEST_F(EstimateTest, Print) {
  const Kind plain{"a"};
  const std::vector<Kind> mix = {
      {"a", 4}, {"b", 2, 1, true}, {"c", 1, 8}, {"d", 2, 1, false, true}};
  for (double rate : {4.0, 10.0, 16.0, 60.0}) {
    Print(absl::StrCat("plain ", rate),
          Ratios({plain}, rate, absl::Seconds(20), absl::Seconds(120)));
  }
  for (double rate : {2.0, 4.0, 6.0, 24.0}) {
    Print(absl::StrCat("mix ", rate), Ratios(mix, rate, absl::Seconds(20), absl::Seconds(120)));
  }
}

}  // namespace
}  // namespace hmar
