// kernels::ReopenLeastCertain against model/sampler.h's.

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <limits>
#include <random>
#include <vector>

#include "kernels/draw.h"
#include "model/sampler.h"
#include "tests/kernels/device_array.h"

namespace hmar {
namespace {

using kernels::ReopenJob;

constexpr int64_t kStride = 4100;
constexpr uint8_t kUntouched = 7;

// What the pass before drew.
enum class Drawn {
  kAll,
  kOpen,   // A mask pass: where the slot's own map was open.
  kEdited  // The next-scale pass of an edit: a map that is not the slot's.
};

// Slots of one launch. Whatever the kernel must not read is NaN, or an open byte of neither value.
class Slots {
 public:
  // n tokens, about a third of them not drawn unless all are; `levels` distinct confidences (0: all
  // differ). Returns how many are drawn.
  uint32_t Add(int n, Drawn drawn, int levels) {
    const size_t base = open_.size();
    open_.resize(base + kStride, kUntouched);
    confidence_.resize(base + kStride, std::numeric_limits<float>::quiet_NaN());
    edited_.resize(base + kStride, kUntouched);
    uint32_t count = 0;
    for (int i = 0; i < n; ++i) {
      const bool left_out = drawn != Drawn::kAll && random_() % 3 == 0;
      if (drawn == Drawn::kOpen) open_[base + i] = !left_out;
      if (drawn == Drawn::kEdited) edited_[base + i] = !left_out;
      if (left_out) continue;
      confidence_[base + i] = levels > 0 ? static_cast<float>(random_() % levels) / levels
                                         : static_cast<float>(random_()) * 0x1p-32f;
      ++count;
    }
    jobs_.push_back({.slot = static_cast<int32_t>(jobs_.size()), .tokens = n});
    drawn_.push_back(drawn);
    return count;
  }
  void SetCount(uint32_t count) { jobs_.back().count = static_cast<int32_t>(count); }

  std::vector<uint8_t> OnDevice(const std::vector<ReopenJob>& jobs) const {
    const DeviceArray<float> confidence(confidence_);
    const DeviceArray<uint8_t> open(open_), edited(edited_);
    std::vector<ReopenJob> with_maps = jobs;
    for (ReopenJob& job : with_maps) {
      const Drawn drawn = drawn_[job.slot];
      const uint8_t* const map = drawn == Drawn::kOpen ? open.data() : edited.data();
      job.drawn = drawn == Drawn::kAll ? nullptr : map + job.slot * kStride;
    }
    const DeviceArray<ReopenJob> device_jobs(with_maps);
    CheckCuda(kernels::ReopenLeastCertain(device_jobs.data(), static_cast<int>(jobs.size()),
                                          confidence.data(), open.data(), kStride, nullptr),
              "ReopenLeastCertain");
    return open.Download();
  }

  std::vector<uint8_t> Expected(const std::vector<ReopenJob>& jobs) const {
    std::vector<uint8_t> all = open_;
    for (const ReopenJob& job : jobs) {
      const std::vector<uint8_t>& map = drawn_[job.slot] == Drawn::kEdited ? edited_ : open_;
      const auto begin = map.begin() + job.slot * kStride;
      std::vector<uint8_t> open(begin, begin + job.tokens);
      if (drawn_[job.slot] == Drawn::kAll) open.assign(job.tokens, 1);
      const auto confidence =
          absl::MakeConstSpan(confidence_).subspan(job.slot * kStride, job.tokens);
      const std::vector<uint8_t> reopened = ReopenLeastCertain(open, confidence, job.count);
      std::copy(reopened.begin(), reopened.end(), all.begin() + job.slot * kStride);
    }
    return all;
  }

  const std::vector<ReopenJob>& jobs() const { return jobs_; }

 private:
  std::mt19937 random_{17};
  std::vector<uint8_t> open_, edited_;
  std::vector<float> confidence_;
  std::vector<Drawn> drawn_;
  std::vector<ReopenJob> jobs_;
};

class ReopenTest : public ::testing::Test {
 protected:
  void SetUp() override { HMAR_SKIP_WITHOUT_GPU(); }
};

// Counts from none to all, distinct and equal confidences, after every kind of pass.
Slots AllSorts() {
  Slots slots;
  for (const int n : {1, 2, 169, 256, 512, 513, 1024, 4096}) {
    for (const Drawn drawn : {Drawn::kAll, Drawn::kOpen, Drawn::kEdited}) {
      for (const int levels : {0, 1, 3}) {
        for (const double share : {0.0, 0.01, 0.5, 0.97, 1.0}) {
          const uint32_t count = slots.Add(n, drawn, levels);
          slots.SetCount(static_cast<uint32_t>(share * count));
        }
      }
    }
  }
  return slots;
}

TEST_F(ReopenTest, ReopensWhatTheReferenceReopens) {
  const Slots slots = AllSorts();
  EXPECT_EQ(slots.OnDevice(slots.jobs()), slots.Expected(slots.jobs()));
}

TEST_F(ReopenTest, LeavesOtherSlotsAlone) {
  const Slots slots = AllSorts();
  const std::vector<ReopenJob> some = {slots.jobs()[41], slots.jobs()[7], slots.jobs()[100]};
  EXPECT_EQ(slots.OnDevice(some), slots.Expected(some));
}

TEST_F(ReopenTest, NoJobsAreNoWork) {
  EXPECT_EQ(kernels::ReopenLeastCertain(nullptr, 0, nullptr, nullptr, 1, nullptr), cudaSuccess);
  EXPECT_EQ(kernels::ReopenLeastCertain(nullptr, -1, nullptr, nullptr, 1, nullptr),
            cudaErrorInvalidValue);
}

}  // namespace
}  // namespace hmar
