#ifndef HMAR_KERNELS_DEPENDENT_LAUNCH_CUH_
#define HMAR_KERNELS_DEPENDENT_LAUNCH_CUH_

// Programmatic dependent launch (CUDA C++ Programming Guide, section of that name): a kernel's
// blocks may start while the kernel before it in the stream drains, and wait in place for its
// results. It hides launch latency, which matters where a step has one image. Every kernel
// launched here calls AwaitPredecessor before it reads or writes what another kernel writes or
// reads; weights and a step's tables may be read before.

#include <cuda_runtime.h>

#include <cstdint>
#include <utility>

namespace hmar::kernels {

// Returns when everything before this kernel in its stream is done and visible. In all threads.
__device__ inline void AwaitPredecessor() {
#if __CUDA_ARCH__ >= 900
  cudaTriggerProgrammaticLaunchCompletion();  // The successor waits for this kernel's end anyway.
  cudaGridDependencySynchronize();
#endif
}

// Of a grid that starts early: a larger one gains nothing, and its waiting blocks would hold
// multiprocessors that another stream (the decoder's) could use.
inline constexpr unsigned kMostEarlyBlocks = 1024;

// kernel<<<grid, block, shared_bytes, stream>>>(arguments...), allowed to start early if it is
// small.
template <typename... Parameters, typename... Arguments>
cudaError_t LaunchDependent(void (*kernel)(Parameters...), dim3 grid, dim3 block,
                            size_t shared_bytes, cudaStream_t stream, Arguments&&... arguments) {
  int device = 0, major = 0;
  cudaGetDevice(&device);
  cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device);
  cudaLaunchAttribute dependent = {};
  dependent.id = cudaLaunchAttributeProgrammaticStreamSerialization;
  dependent.val.programmaticStreamSerializationAllowed = 1;
  cudaLaunchConfig_t config = {};
  config.gridDim = grid;
  config.blockDim = block;
  config.dynamicSmemBytes = shared_bytes;
  config.stream = stream;
  config.attrs = &dependent;
  const bool small = uint64_t{grid.x} * grid.y * grid.z <= kMostEarlyBlocks;
  config.numAttrs = major >= 9 && small ? 1 : 0;
  return cudaLaunchKernelEx(&config, kernel, Parameters(std::forward<Arguments>(arguments))...);
}

}  // namespace hmar::kernels

#endif  // HMAR_KERNELS_DEPENDENT_LAUNCH_CUH_
