#ifndef HMAR_MODEL_CUDA_DEVICE_MEMORY_H_
#define HMAR_MODEL_CUDA_DEVICE_MEMORY_H_

#include <cuda_runtime_api.h>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "model/cuda/cuda_status.h"
#include "model/engine.h"
#include "model/status_macros.h"

namespace hmar {

// Everything that an engine holds on its device and in pinned host memory, by kind; freed with it,
// and nothing before. Once loading is done it is closed: a step that allocated would wait for the
// whole device. Not thread-safe; belongs to the device that is current when it is used and
// destroyed.
class DeviceMemory {
 public:
  DeviceMemory() = default;
  ~DeviceMemory();
  DeviceMemory(const DeviceMemory&) = delete;
  DeviceMemory& operator=(const DeviceMemory&) = delete;

  // `count` elements on the device, 256-byte aligned, contents undefined. RESOURCE_EXHAUSTED with
  // the sizes.
  template <typename T>
  absl::StatusOr<T*> Allocate(const std::string& kind, int64_t count) {
    HMAR_ASSIGN_OR_RETURN(void* data, AllocateBytes(kind, count * sizeof(T)));
    return static_cast<T*>(data);
  }

  // `count` elements of pinned host memory.
  template <typename T>
  absl::StatusOr<T*> AllocatePinned(int64_t count) {
    HMAR_ASSIGN_OR_RETURN(void* data, AllocatePinnedBytes(count * sizeof(T)));
    return static_cast<T*>(data);
  }

  // A copy of `values` on the device. Waits for the copy.
  template <typename T>
  absl::StatusOr<T*> Upload(const std::string& kind, absl::Span<const T> values) {
    HMAR_ASSIGN_OR_RETURN(T * data, Allocate<T>(kind, static_cast<int64_t>(values.size())));
    HMAR_CUDA_RETURN_IF_ERROR(
        cudaMemcpy(data, values.data(), values.size() * sizeof(T), cudaMemcpyHostToDevice));
    return data;
  }

  // From now on allocating is an INTERNAL error.
  void Close() { closed_ = true; }

  std::vector<MemoryUse> Uses() const;  // Device memory by kind.

 private:
  absl::Status CheckOpen() const;
  absl::StatusOr<void*> AllocateBytes(const std::string& kind, int64_t bytes);
  absl::StatusOr<void*> AllocatePinnedBytes(int64_t bytes);

  std::vector<void*> device_, pinned_;
  std::map<std::string, uint64_t> bytes_;
  bool closed_ = false;
};

// Device memory for a while, during loading.
class ScratchMemory {
 public:
  static absl::StatusOr<ScratchMemory> Take(int64_t bytes);
  ScratchMemory(ScratchMemory&& other) noexcept : data_(other.data_) { other.data_ = nullptr; }
  ScratchMemory& operator=(ScratchMemory&&) = delete;
  ~ScratchMemory() { cudaFree(data_); }

  template <typename T>
  T* as() const {
    return static_cast<T*>(data_);
  }

 private:
  explicit ScratchMemory(void* data) : data_(data) {}
  void* data_;
};

}  // namespace hmar

#endif  // HMAR_MODEL_CUDA_DEVICE_MEMORY_H_
