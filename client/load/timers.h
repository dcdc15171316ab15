#ifndef HMAR_CLIENT_LOAD_TIMERS_H_
#define HMAR_CLIENT_LOAD_TIMERS_H_

#include <chrono>
#include <functional>
#include <map>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace hmar::load {

// Time since it was made, by a clock that nobody sets. Thread-safe.
class Stopwatch {
 public:
  absl::Duration Elapsed() const {
    return absl::FromChrono(std::chrono::steady_clock::now() - start_);
  }

 private:
  const std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

// Runs things later, on a thread of its own, one at a time. Thread-safe.
class Timers {
 public:
  explicit Timers(const Stopwatch& clock);  // The clock outlives it.
  ~Timers();                                // What is not due yet never runs.
  Timers(const Timers&) = delete;
  Timers& operator=(const Timers&) = delete;

  // Runs `action` once, at `time` or as soon after it as it can. It must not block.
  void At(absl::Duration time, std::function<void()> action);

  // From now on everything is due at once, what waits as well: the load ends.
  void Hurry();

 private:
  void RunAll();

  const Stopwatch& clock_;
  absl::Mutex mutex_;
  std::multimap<absl::Duration, std::function<void()>> actions_ ABSL_GUARDED_BY(mutex_);
  absl::CondVar news_;
  bool hurry_ ABSL_GUARDED_BY(mutex_) = false;
  bool stop_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace hmar::load

#endif  // HMAR_CLIENT_LOAD_TIMERS_H_
