#ifndef HMAR_KERNELS_LINEAR_H_
#define HMAR_KERNELS_LINEAR_H_

#include <cuda_bf16.h>
#include <cuda_runtime_api.h>

#include <cstdint>
#include <vector>

namespace hmar::kernels {

inline constexpr int kMaxLinearT = 1 << 18, kMaxLinearN = 1 << 16;

enum class LinearEpilogue {
  kBias,      // out = x W^T + b
  kBiasGelu,  // out = gelu(x W^T + b), tanh approximation, good to 2^-17 of its value
};

// A linear layer over T tokens. All pointers 16-byte aligned.
struct LinearArgs {
  const __nv_bfloat16* x_TK = nullptr;
  const __nv_bfloat16* weight_NK = nullptr;
  const void* bias_N = nullptr;     // bf16; fp32 where the output is fp32.
  __nv_bfloat16* out_TN = nullptr;  // One of the two.
  float* out_fp32_TN = nullptr;
  int T = 0;  // May be 0. At most kMaxLinearT.
  int N = 0;  // A multiple of 64, at most kMaxLinearN; so is K.
  int K = 0;
  LinearEpilogue epilogue = LinearEpilogue::kBias;
};

// How a product is cut into thread blocks. All give the same bytes; which is fastest depends on T,
// N and K.
struct LinearTiling {
  enum class Kernel { kFewTokens, kManyTokens };
  Kernel kernel = Kernel::kFewTokens;
  int tokens = 0;    // Of a tile.
  int channels = 0;  // Of a tile, of the N outputs.
  // Thread blocks of a cluster, side by side over T, that share their reads of the weights: 1 or 2
  // by many tokens, 1 by few.
  int token_blocks = 1;
};

// Every tiling.
std::vector<LinearTiling> LinearTilings();

// Products in bf16, summed in fp32 over K from first to last, so a token's result does not depend
// on T: neither do its bytes. The weights and the bias must not be written by work that the stream
// may still have to do: the kernel may read them before the kernels launched ahead of it are done
// (programmatic dependent launch), and lets the next kernel do so. x and out are under stream
// order, whatever the neighbours are. cudaErrorInvalidValue: a shape or alignment beyond the limits
// above, or a tiling that is none of LinearTilings'; cudaErrorNotSupported: not a device of compute
// capability 9.0. Asynchronous on `stream`; allocates nothing. Safe in stream capture.
cudaError_t Linear(const LinearArgs& args, const LinearTiling& tiling, cudaStream_t stream);

}  // namespace hmar::kernels

#endif  // HMAR_KERNELS_LINEAR_H_
