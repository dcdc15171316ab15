#ifndef HMAR_SERVER_BASE_RANDOM_SOURCE_H_
#define HMAR_SERVER_BASE_RANDOM_SOURCE_H_

#include <cstdint>
#include <random>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace hmar {

// Where the server takes seeds and request ids from when a request brings none. Thread-safe.
class RandomSource {
 public:
  virtual ~RandomSource() = default;
  virtual uint64_t Next() = 0;  // Uniform over all 64-bit numbers.
};

// Not for secrets: ids and seeds need to differ, not to be unguessable.
class DeviceSeededRandom final : public RandomSource {
 public:
  DeviceSeededRandom() {
    std::random_device device;
    std::seed_seq seed{device(), device(), device(), device()};
    engine_.seed(seed);
  }

  uint64_t Next() override {
    absl::MutexLock lock(&mutex_);
    return engine_();
  }

 private:
  absl::Mutex mutex_;
  std::mt19937_64 engine_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace hmar

#endif  // HMAR_SERVER_BASE_RANDOM_SOURCE_H_
