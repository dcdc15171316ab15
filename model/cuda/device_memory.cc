#include "model/cuda/device_memory.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace hmar {
namespace {

// Of what an allocation asked for and what there was.
absl::Status OutOfMemory(const std::string& kind, int64_t bytes) {
  size_t free = 0, total = 0;
  cudaGetLastError();
  cudaMemGetInfo(&free, &total);
  return absl::ResourceExhaustedError(absl::StrCat(kind, " take ", bytes >> 20, " MiB; ",
                                                   free >> 20, " of the device's ", total >> 20,
                                                   " MiB are free"));
}

}  // namespace

DeviceMemory::~DeviceMemory() {
  for (void* data : device_) cudaFree(data);
  for (void* data : pinned_) cudaFreeHost(data);
}

absl::Status DeviceMemory::CheckOpen() const {
  return closed_ ? absl::InternalError("memory was asked for after loading") : absl::OkStatus();
}

absl::StatusOr<void*> DeviceMemory::AllocateBytes(const std::string& kind, int64_t bytes) {
  HMAR_RETURN_IF_ERROR(CheckOpen());
  void* data = nullptr;
  const cudaError_t error = cudaMalloc(&data, std::max<int64_t>(bytes, 1));
  if (error == cudaErrorMemoryAllocation) return OutOfMemory(kind, bytes);
  HMAR_CUDA_RETURN_IF_ERROR(error);
  device_.push_back(data);
  bytes_[kind] += bytes;
  return data;
}

absl::StatusOr<void*> DeviceMemory::AllocatePinnedBytes(int64_t bytes) {
  HMAR_RETURN_IF_ERROR(CheckOpen());
  void* data = nullptr;
  HMAR_CUDA_RETURN_IF_ERROR(cudaMallocHost(&data, std::max<int64_t>(bytes, 1)));
  pinned_.push_back(data);
  return data;
}

std::vector<MemoryUse> DeviceMemory::Uses() const {
  std::vector<MemoryUse> uses;
  for (const auto& [kind, bytes] : bytes_) uses.push_back({kind, bytes});
  return uses;
}

absl::StatusOr<ScratchMemory> ScratchMemory::Take(int64_t bytes) {
  void* data = nullptr;
  const cudaError_t error = cudaMalloc(&data, std::max<int64_t>(bytes, 1));
  if (error == cudaErrorMemoryAllocation) return OutOfMemory("loading's temporaries", bytes);
  HMAR_CUDA_RETURN_IF_ERROR(error);
  return ScratchMemory(data);
}

}  // namespace hmar
