#ifndef HMAR_SERVER_CALLS_WORK_RATE_H_
#define HMAR_SERVER_CALLS_WORK_RATE_H_

#include <cstddef>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace hmar {

// How fast threads work through bytes, as measured: for telling a refused client when to come back.
// Later work counts more. Thread-safe.
class WorkRate {
 public:
  // `guess`: bytes a second of one thread, until the first measure.
  explicit WorkRate(double guess) : seconds_per_byte_(1 / guess) {}

  // A thread took so long for so many bytes.
  void Add(size_t bytes, absl::Duration took) {
    if (bytes == 0) return;
    absl::MutexLock lock(&mutex_);
    const double now = absl::ToDoubleSeconds(took) / static_cast<double>(bytes);
    seconds_per_byte_ += kNewest * (now - seconds_per_byte_);
  }

  // What one thread will take for so many.
  absl::Duration TimeFor(size_t bytes) const {
    absl::MutexLock lock(&mutex_);
    return absl::Seconds(seconds_per_byte_ * static_cast<double>(bytes));
  }

 private:
  static constexpr double kNewest = 0.2;  // The newest measure's weight.

  mutable absl::Mutex mutex_;
  double seconds_per_byte_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace hmar

#endif  // HMAR_SERVER_CALLS_WORK_RATE_H_
