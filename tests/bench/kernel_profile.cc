#include "tests/bench/kernel_profile.h"

#include <cuda_runtime_api.h>
#include <cupti.h>
#include <cxxabi.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <mutex>

namespace hmar {
namespace {

constexpr size_t kBufferBytes = 8 << 20;
constexpr size_t kAlignment = 8;

// CUPTI hands buffers to plain functions, from threads of its own.
struct Recording {
  std::mutex mutex;
  std::map<std::string, KernelShare> kernels;  // By mangled name.
};

Recording& TheRecording() {
  static auto* const recording = new Recording;
  return *recording;
}

void Count(const CUpti_ActivityKernel9& kernel) {
  KernelShare& share = TheRecording().kernels[kernel.name];
  share.seconds += static_cast<double>(kernel.end - kernel.start) * 1e-9;
  ++share.launches;
}

void CUPTIAPI TakeBuffer(uint8_t** buffer, size_t* size, size_t* max_records) {
  *buffer = static_cast<uint8_t*>(std::aligned_alloc(kAlignment, kBufferBytes));
  *size = kBufferBytes;
  *max_records = 0;
}

void CUPTIAPI ReadBuffer(CUcontext, uint32_t, uint8_t* buffer, size_t, size_t valid) {
  const std::lock_guard<std::mutex> lock(TheRecording().mutex);
  CUpti_Activity* record = nullptr;
  while (cuptiActivityGetNextRecord(buffer, valid, &record) == CUPTI_SUCCESS) {
    if (record->kind == CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL) {
      Count(*reinterpret_cast<const CUpti_ActivityKernel9*>(record));
    }
  }
  std::free(buffer);
}

// "void ns::(anonymous namespace)::Kernel<3>(float*)" -> "Kernel<3>"
std::string ShortName(const std::string& mangled) {
  int status = 0;
  char* demangled = abi::__cxa_demangle(mangled.c_str(), nullptr, nullptr, &status);
  std::string name = status == 0 ? demangled : mangled;
  std::free(demangled);
  const size_t anonymous = name.rfind("(anonymous namespace)::");
  if (anonymous != std::string::npos) name = name.substr(anonymous + 23);
  const size_t arguments = name.rfind('(');
  if (arguments != std::string::npos && arguments > 0) name = name.substr(0, arguments);
  return name.substr(0, 70);
}

}  // namespace

void StartKernelProfile() {
  TheRecording().kernels.clear();
  cuptiActivityRegisterCallbacks(TakeBuffer, ReadBuffer);
  if (cuptiActivityEnable(CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL) != CUPTI_SUCCESS) {
    std::fprintf(stderr, "CUPTI records no kernels here\n");
  }
}

std::vector<KernelShare> StopKernelProfile() {
  cudaDeviceSynchronize();
  cuptiActivityFlushAll(1);
  cuptiActivityDisable(CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL);
  const std::lock_guard<std::mutex> lock(TheRecording().mutex);
  std::vector<KernelShare> shares;
  for (auto& [mangled, share] : TheRecording().kernels) {
    share.name = ShortName(mangled);
    shares.push_back(share);
  }
  std::sort(shares.begin(), shares.end(),
            [](const KernelShare& a, const KernelShare& b) { return a.seconds > b.seconds; });
  return shares;
}

}  // namespace hmar
