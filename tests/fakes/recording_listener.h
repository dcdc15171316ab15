#ifndef HMAR_TESTS_FAKES_RECORDING_LISTENER_H_
#define HMAR_TESTS_FAKES_RECORDING_LISTENER_H_

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "server/scheduling/work.h"

namespace hmar {

// Keeps what it hears, and fails the running test when a rule of WorkListener is broken: calls that
// overlap, an image twice, anything after OnFailed. Thread-safe.
class RecordingListener final : public WorkListener {
 public:
  // `on_event` runs inside each call, as a listener that uses the scheduler would.
  explicit RecordingListener(std::function<void()> on_event = nullptr)
      : on_event_(std::move(on_event)) {}

  void OnPreview(uint32_t index, uint32_t scale, Picture picture) override {
    Hear(absl::StrCat("preview ", index, ".", scale), [&] {
      previews_[{index, scale}] = std::move(picture);
    });
  }

  void OnImage(uint32_t index, FinishedImage image) override {
    Hear(absl::StrCat("image ", index), [&] {
      EXPECT_TRUE(images_.emplace(index, std::move(image)).second) << "image " << index << " twice";
    });
  }

  void OnFailed(const absl::Status& status) override {
    Hear("failed", [&] { status_ = status; });
  }

  // Waits for `images` images or a failure; false if neither comes within 30 s.
  bool AwaitEnd(size_t images) const {
    absl::MutexLock lock(&mutex_);
    auto ended = [this, images]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
      return images_.size() >= images || !status_.ok();
    };
    return mutex_.AwaitWithTimeout(absl::Condition(&ended), absl::Seconds(30));
  }

  // "preview INDEX.SCALE", "image INDEX", "failed", in the order of the calls.
  std::vector<std::string> events() const {
    absl::MutexLock lock(&mutex_);
    return events_;
  }
  std::map<uint32_t, FinishedImage> images() const {
    absl::MutexLock lock(&mutex_);
    return images_;
  }
  // By index and scale.
  std::map<std::pair<uint32_t, uint32_t>, Picture> previews() const {
    absl::MutexLock lock(&mutex_);
    return previews_;
  }
  // OK until OnFailed.
  absl::Status status() const {
    absl::MutexLock lock(&mutex_);
    return status_;
  }

 private:
  template <typename Record>
  void Hear(const std::string& event, Record record) {
    {
      absl::MutexLock lock(&mutex_);
      EXPECT_FALSE(inside_) << event << " overlaps another call";
      EXPECT_TRUE(status_.ok()) << event << " after OnFailed";
      inside_ = true;
      events_.push_back(event);
    }
    if (on_event_) on_event_();
    absl::MutexLock lock(&mutex_);
    record();
    inside_ = false;
  }

  const std::function<void()> on_event_;
  mutable absl::Mutex mutex_;
  bool inside_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<std::string> events_ ABSL_GUARDED_BY(mutex_);
  std::map<uint32_t, FinishedImage> images_ ABSL_GUARDED_BY(mutex_);
  std::map<std::pair<uint32_t, uint32_t>, Picture> previews_ ABSL_GUARDED_BY(mutex_);
  absl::Status status_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace hmar

#endif  // HMAR_TESTS_FAKES_RECORDING_LISTENER_H_
