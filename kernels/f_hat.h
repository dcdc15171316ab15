#ifndef HMAR_KERNELS_F_HAT_H_
#define HMAR_KERNELS_F_HAT_H_

#include <cuda_bf16.h>
#include <cuda_runtime_api.h>

#include <cstdint>

#include "kernels/packed_rows.h"

namespace hmar::kernels {

// One scale's tokens of one image, to be laid into its feature map.
struct TokenMapJob {
  int32_t slot = 0;
  int32_t scale = 0;
};

// Tables of the tokenizer, fp32, on the device, 16-byte aligned.
struct ContributionWeights {
  int Z = 0;                // Codebook channels, at most 64.
  float quant_resi = 0.5f;  // r
  const float* codebook_VZ = nullptr;
  const float* phi_KZ9Z =
      nullptr;  // By scale: phi's weight, (in Z, tap 9, out Z); taps row by row.
  const float* phi_bias_KZ = nullptr;  // By scale.
  // Bicubic enlargement from a scale's side to P, separable, a = -0.75, corners not aligned
  // (PyTorch's upsample_bicubic2d): for output coordinate i the four inputs from clamp(floor) - 1
  // on, clamped to the grid, and their weights. (K, P, 4) each. Not used at the last scale.
  const int32_t* bicubic_index_KP4 = nullptr;
  const float* bicubic_weight_KP4 = nullptr;
};

enum class LayMode {
  kAdd,       // out += contribution
  kSubtract,  // out -= contribution
  kWrite,     // out = contribution
};

// contribution = (1 - r) h + r (conv3x3(h) + bias), where h is the tokens' codebook vectors,
// enlarged to P x P (VAR, arXiv 2404.02905, section 3.2; zeros beyond the border). tokens (slots,
// L) int32, of a slot all scales one after the other (Grids::first); out_PPZ (slots, P * P, Z)
// fp32. Jobs of one launch have different slots; each image by itself. A token outside [0, V) is
// undefined behaviour. Asynchronous on `stream`; allocates nothing. count may be 0.
cudaError_t LayTokens(const ContributionWeights& weights, const Grids& grids,
                      const TokenMapJob* jobs, int count, const int32_t* tokens_L, int64_t L,
                      LayMode mode, float* out_PPZ, cudaStream_t stream);

}  // namespace hmar::kernels

#endif  // HMAR_KERNELS_F_HAT_H_
