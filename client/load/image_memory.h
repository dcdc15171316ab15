#ifndef HMAR_CLIENT_LOAD_IMAGE_MEMORY_H_
#define HMAR_CLIENT_LOAD_IMAGE_MEMORY_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <tuple>

#include "absl/base/thread_annotations.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"

namespace hmar::load {

// Which bytes each image had: the same request is to give the same bytes. Keeps SHA-256 sums alone,
// one for each image of each kind and seed; how many those are is for the caller to bound.
// Thread-safe.
class ImageMemory {
 public:
  // False: the image of this index of the kind's request of this seed came with other bytes before.
  bool SameAsBefore(size_t kind, uint64_t seed, uint32_t index, absl::string_view bytes);

  // Images that came again, with whatever bytes: without any, nothing was compared.
  uint64_t compared() const;

 private:
  using Digest = std::array<unsigned char, 32>;

  mutable absl::Mutex mutex_;
  std::map<std::tuple<size_t, uint64_t, uint32_t>, Digest> digests_ ABSL_GUARDED_BY(mutex_);
  uint64_t compared_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace hmar::load

#endif  // HMAR_CLIENT_LOAD_IMAGE_MEMORY_H_
