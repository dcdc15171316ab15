#ifndef HMAR_KERNELS_GROUP_NORM_H_
#define HMAR_KERNELS_GROUP_NORM_H_

#include <cuda_bf16.h>
#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>

namespace hmar::kernels {

inline constexpr int kGroups = 32;

struct GroupNormArgs {
  const __nv_bfloat16* x_BSC = nullptr;  // B images, S positions, C channels (channels last).
  __nv_bfloat16* out_BSC = nullptr;      // May be x_BSC.
  const float* weight_C = nullptr;
  const float* bias_C = nullptr;
  float* workspace = nullptr;  // GroupNormWorkspaceBytes(B, S), 16-byte aligned.
  int B = 0;                   // May be 0.
  int64_t S = 0;
  int C = 0;  // A multiple of 32, at most 1,024.
  float eps = 1e-6f;
  bool silu = true;  // out = y * sigmoid(y)
};

// Bytes of workspace: partial sums.
size_t GroupNormWorkspaceBytes(int B, int64_t S);

// GroupNorm with 32 groups, then SiLU if asked. fp32 statistics (sums of squares about a shift, or
// two passes: not E[x^2] - E[x]^2 of raw values), summed in an order that depends on S and C alone:
// an image's result does not depend on B. Asynchronous on `stream`; allocates nothing.
cudaError_t GroupNorm(const GroupNormArgs& args, cudaStream_t stream);

}  // namespace hmar::kernels

#endif  // HMAR_KERNELS_GROUP_NORM_H_
