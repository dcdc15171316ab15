#ifndef HMAR_KERNELS_LINEAR_INTERNAL_H_
#define HMAR_KERNELS_LINEAR_INTERNAL_H_

// Between the linear layer's source files.

#include <cuda_runtime_api.h>

#include "kernels/linear.h"

namespace hmar::kernels {

// Lets the kernel start before the one ahead of it in the stream is done.
inline cudaLaunchAttribute ProgrammaticDependentLaunch() {
  cudaLaunchAttribute attribute = {};
  attribute.id = cudaLaunchAttributeProgrammaticStreamSerialization;
  attribute.val.programmaticStreamSerializationAllowed = 1;
  return attribute;
}

inline cudaLaunchAttribute ClusterOf(int blocks_x, int blocks_y) {
  cudaLaunchAttribute attribute = {};
  attribute.id = cudaLaunchAttributeClusterDimension;
  attribute.val.clusterDim.x = blocks_x;
  attribute.val.clusterDim.y = blocks_y;
  attribute.val.clusterDim.z = 1;
  return attribute;
}

// REQUIRES: a device of compute capability 9.0; valid arguments, T > 0.
cudaError_t LinearFewTokens(const LinearTiling& tiling, const LinearArgs& args,
                            cudaStream_t stream);
cudaError_t LinearManyTokens(const LinearTiling& tiling, const LinearArgs& args,
                             int multiprocessors, cudaStream_t stream);

}  // namespace hmar::kernels

#endif  // HMAR_KERNELS_LINEAR_INTERNAL_H_
