#ifndef HMAR_KERNELS_DRAW_H_
#define HMAR_KERNELS_DRAW_H_

#include <cuda_runtime_api.h>

#include <cstdint>

#include "kernels/packed_rows.h"

namespace hmar::kernels {

inline constexpr int kMaxDrawV = 32768;

// One image's draw of one pass.
struct DrawImage {
  int64_t first_row = 0;          // Of `logits`: the image's n rows, conditional half.
  int64_t first_uncond_row = -1;  // The unconditional half's; -1: not guided.
  int32_t first_token = 0;        // Tokens of the images before it in the launch.
  int32_t tokens = 0;             // n
  int32_t slot = 0;
  int32_t scale = 0;
  int32_t step = 0;  // Pass in the scale.
  // (n), on the device: the pass draws where it is 1 and leaves the tokens elsewhere; null: draws
  // everywhere.
  const uint8_t* open = nullptr;
  uint64_t seed = 0;
  float guidance = 0;  // t of (1 + t) cond - t uncond
  float temperature = 1;
  uint32_t top_k = 0;    // 0: off.
  float drop_mass = -1;  // 1 - top_p; < 0: off.
};

struct DrawState {
  int32_t* tokens_L = nullptr;  // (slots, L): the token goes to its place in the pyramid.
  int64_t L = 0;
  float* confidence = nullptr;  // (slots, Grids::most_tokens): its probability after truncation.
  int32_t* failed =
      nullptr;  // (images): set to 1 if a row's logits are not finite; nothing is drawn there then.
};

// Draws tokens as model/sampler.h's DrawToken and Guide do (guidance, temperature, top-k with ties
// kept, top-p ascending with ties by index, inverse CDF in codebook order), with the uniform of
// model/philox.h for (seed, position, scale, step). One block a token, no sort: thresholds by radix
// descent, sums in 64-bit fixed point, so that no order of additions can change a token. Agrees
// with DrawToken but for draws within about 1e-6 of a boundary. logits (rows, V) fp32, 16-byte
// aligned where V is a multiple of 4. images and image_of_token (token_count: the image of each
// token) on the device. Asynchronous on `stream`; allocates nothing. V up to kMaxDrawV; above 8,192
// a block needs 128 KB of shared memory.
cudaError_t DrawTokens(const float* logits, int V, const DrawImage* images,
                       const int32_t* image_of_token, int token_count, const Grids& grids,
                       const DrawState& state, cudaStream_t stream);

// The most certain tokens of a scale stay, the others are redrawn.
struct ReopenJob {
  int32_t slot = 0;
  int32_t tokens = 0;  // n, at most 4,096.
  int32_t count = 0;   // How many to reopen: at most the number drawn.
  // (n), on the device: which tokens the pass before drew, 1 each; null: all. May be where the
  // result goes.
  const uint8_t* drawn = nullptr;
};

// open = the `count` least certain of the tokens drawn: ascending by confidence, equal ones by
// position. open and confidence (slots, stride). One block an image. Asynchronous on `stream`;
// allocates nothing. count of jobs may be 0.
cudaError_t ReopenLeastCertain(const ReopenJob* jobs, int job_count, const float* confidence,
                               uint8_t* open, int64_t stride, cudaStream_t stream);

}  // namespace hmar::kernels

#endif  // HMAR_KERNELS_DRAW_H_
