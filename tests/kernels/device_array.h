#ifndef HMAR_TESTS_KERNELS_DEVICE_ARRAY_H_
#define HMAR_TESTS_KERNELS_DEVICE_ARRAY_H_

// Device memory for tests and benchmarks. Not thread-safe.

#include <cuda_bf16.h>
#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <span>
#include <vector>

namespace hmar {

// Ends the program with the call's error: a test that goes on after it would blame the wrong line.
inline void CheckCuda(cudaError_t error, const char* what = "CUDA") {
  if (error == cudaSuccess) return;
  std::fprintf(stderr, "%s: %s\n", what, cudaGetErrorString(error));
  std::abort();
}

inline bool HasGpu() {
  int count = 0;
  return cudaGetDeviceCount(&count) == cudaSuccess && count > 0;
}

// First line of a test body (or of SetUp).
#define HMAR_SKIP_WITHOUT_GPU() \
  if (!::hmar::HasGpu()) GTEST_SKIP() << "no CUDA device on this machine"

// `count` elements of device memory, poisoned with 0xFF bytes (NaN as a float) so that what a
// kernel leaves out shows.
template <typename T>
class DeviceArray {
 public:
  explicit DeviceArray(size_t count) : count_(count) {
    CheckCuda(cudaMalloc(reinterpret_cast<void**>(&data_), bytes() + 1), "cudaMalloc");
    CheckCuda(cudaMemset(data_, 0xFF, bytes()), "cudaMemset");
  }
  explicit DeviceArray(std::span<const T> values) : DeviceArray(values.size()) { Upload(values); }
  explicit DeviceArray(const std::vector<T>& values) : DeviceArray(std::span<const T>(values)) {}
  ~DeviceArray() { cudaFree(data_); }

  DeviceArray(const DeviceArray&) = delete;
  DeviceArray& operator=(const DeviceArray&) = delete;

  T* data() const { return data_; }
  size_t size() const { return count_; }
  size_t bytes() const { return count_ * sizeof(T); }

  void Upload(std::span<const T> values) {
    CheckCuda(cudaMemcpy(data_, values.data(), values.size_bytes(), cudaMemcpyHostToDevice),
              "copy");
  }

  // Waits for the device.
  std::vector<T> Download() const {
    std::vector<T> values(count_);
    CheckCuda(cudaDeviceSynchronize(), "kernel");
    CheckCuda(cudaMemcpy(values.data(), data_, bytes(), cudaMemcpyDeviceToHost), "copy");
    return values;
  }

 private:
  size_t count_;
  T* data_ = nullptr;
};

inline std::vector<__nv_bfloat16> ToBf16(std::span<const float> values) {
  std::vector<__nv_bfloat16> rounded;
  rounded.reserve(values.size());
  for (const float v : values) rounded.push_back(__float2bfloat16(v));
  return rounded;
}

inline std::vector<float> ToFloats(std::span<const __nv_bfloat16> values) {
  std::vector<float> floats;
  floats.reserve(values.size());
  for (const __nv_bfloat16 v : values) floats.push_back(__bfloat162float(v));
  return floats;
}

}  // namespace hmar

#endif  // HMAR_TESTS_KERNELS_DEVICE_ARRAY_H_
