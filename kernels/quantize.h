#ifndef HMAR_KERNELS_QUANTIZE_H_
#define HMAR_KERNELS_QUANTIZE_H_

#include <cuda_runtime_api.h>

#include <cstdint>

#include "kernels/packed_rows.h"

namespace hmar::kernels {

// A codebook laid out for its search, fp32, on the device.
struct CodebookSearch {
  int V = 0;                           // At least 1.
  int Z = 0;                           // Channels, a multiple of 4, at most 64.
  const float* codebook_ZV = nullptr;  // Transposed: threads look at neighbouring vectors.
  const float* norm_V = nullptr;       // Squared lengths.
};

// Tokens of one scale from what the coarser ones left over (VAR, arXiv 2404.02905, section 3.2):
// z, the average of the map's cells under a token (PyTorch's adaptive_avg_pool2d to p x p), and the
// codebook vector e with the smallest |z|^2 + |e|^2 - 2 z e, the lowest index among equal ones.
// NaN distances lose; with nothing else the token is 0. rest_BPPZ (B, P * P, Z); tokens_BL (B, L),
// of an image all scales one after the other (Grids::first). fp32 throughout; sums in an order that
// depends on p, P and Z alone, each token by itself. The codebook must not be written by work that
// the stream may still have to do (programmatic dependent launch). Asynchronous on `stream`;
// allocates nothing. B may be 0. cudaErrorInvalidValue: a shape beyond the limits above.
cudaError_t NearestTokens(const CodebookSearch& search, const Grids& grids, int scale,
                          const float* rest_BPPZ, int B, int32_t* tokens_BL, int64_t L,
                          cudaStream_t stream);

}  // namespace hmar::kernels

#endif  // HMAR_KERNELS_QUANTIZE_H_
