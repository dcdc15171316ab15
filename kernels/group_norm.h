#ifndef HMAR_KERNELS_GROUP_NORM_H_
#define HMAR_KERNELS_GROUP_NORM_H_

#include <cuda_bf16.h>
#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>

namespace hmar::kernels {

inline constexpr int kGroups = 32;
inline constexpr int kMaxNormChannels = 1024;

// Every pointer 16-byte aligned, on the device.
struct GroupNormArgs {
  const __nv_bfloat16* x_BSC = nullptr;  // B images, S positions, C channels (channels last).
  __nv_bfloat16* out_BSC = nullptr;      // May be x_BSC.
  const float* weight_C = nullptr;
  const float* bias_C = nullptr;
  float* workspace = nullptr;  // GroupNormWorkspaceBytes(B, S).
  int B = 0;                   // May be 0.
  int64_t S = 0;               // At least 1.
  int C = 0;                   // A multiple of 32, at most 1,024.
  float eps = 1e-6f;
  bool silu = true;  // out = y * sigmoid(y)
};

// Parts of S into which GroupNorm splits an image's positions to sum them up: at most 128,
// ascending, together all of S.
int GroupNormChunks(int64_t S);

// Bytes of workspace. GroupNormFromPartials needs less: GroupNormWorkspaceBytes(B, 0).
size_t GroupNormWorkspaceBytes(int B, int64_t S);

// GroupNorm with 32 groups, then SiLU if asked. fp32 statistics (sums of squares about a shift, not
// E[x^2] - E[x]^2 of raw values), summed in an order that depends on S and C alone: an image's
// result does not depend on B. weight_C and bias_C must not be written by work that the stream may
// still have to do: they are read before the kernels ahead are done (programmatic dependent
// launch). cudaErrorInvalidValue: a shape or alignment beyond the limits above. Asynchronous on
// `stream`; allocates nothing. Safe in stream capture.
cudaError_t GroupNorm(const GroupNormArgs& args, cudaStream_t stream);

// GroupNorm without a pass for the statistics, for a producer of x that took them on the way:
// merges the partials of each image in an order that depends on `chunks` alone, then normalizes.
// partials (B, chunks, 3, 32), fp32: of each chunk of an image 32 counts of elements (positions
// times channels of a group, > 0), 32 means, and 32 sums of squared deviations from that mean (M2);
// a chunk is any set of an image's positions, each in exactly one. Otherwise as GroupNorm.
cudaError_t GroupNormFromPartials(const GroupNormArgs& args, const float* partials, int chunks,
                                  cudaStream_t stream);

}  // namespace hmar::kernels

#endif  // HMAR_KERNELS_GROUP_NORM_H_
