#ifndef HMAR_KERNELS_LINEAR_INTERNAL_H_
#define HMAR_KERNELS_LINEAR_INTERNAL_H_

// Between the linear layer's source files, its test and its benchmark.

#include <cuda_runtime_api.h>

#include <vector>

#include "kernels/linear.h"

namespace hmar::kernels {

// Lets the kernel start before the one ahead of it in the stream is done.
inline cudaLaunchAttribute ProgrammaticDependentLaunch() {
  cudaLaunchAttribute attribute = {};
  attribute.id = cudaLaunchAttributeProgrammaticStreamSerialization;
  attribute.val.programmaticStreamSerializationAllowed = 1;
  return attribute;
}

// How a product is cut into thread blocks. All give the same bytes.
struct LinearTiling {
  enum class Kernel { kFewTokens, kManyTokens };
  Kernel kernel = Kernel::kFewTokens;
  int tokens = 0;    // Of a tile.
  int channels = 0;  // Of a tile, of the N outputs.
  int cluster = 1;   // Thread blocks that share a tile's weights.
};

// Every tiling there is.
std::vector<LinearTiling> LinearTilings();

// The one that should take least time.
LinearTiling ChooseLinearTiling(const LinearArgs& args, int multiprocessors);

// Linear, by this tiling.
cudaError_t LinearBy(const LinearTiling& tiling, const LinearArgs& args, cudaStream_t stream);

// REQUIRES: a device of compute capability 9.0; valid arguments, T > 0.
cudaError_t LinearFewTokens(const LinearTiling& tiling, const LinearArgs& args,
                            cudaStream_t stream);
cudaError_t LinearManyTokens(const LinearTiling& tiling, const LinearArgs& args,
                             int multiprocessors, cudaStream_t stream);

}  // namespace hmar::kernels

#endif  // HMAR_KERNELS_LINEAR_INTERNAL_H_
