#ifndef HMAR_KERNELS_CONV2D_H_
#define HMAR_KERNELS_CONV2D_H_

#include <cuda_bf16.h>
#include <cuda_runtime_api.h>

#include <cstdint>

namespace hmar::kernels {

// A convolution's weights as the kernels read them: made once at load by PackConvWeight, on the
// host.
//   same, downsample: (taps, O, I), taps row by row.
//   upsample: (4 phases, 4 taps, O, I), phases and taps row by row. A 3 x 3 convolution of a map
//             enlarged twofold by repetition is, at each of the four phases (y % 2, x % 2) of an
//             output pixel, a 2 x 2 convolution of the small map with summed weights: 4/9 of the
//             work.
// I padded with zeros to a multiple of 8.
enum class ConvKind {
  kSame1x1,
  kSame3x3,       // Zeros beyond the border.
  kUpsample3x3,   // Of the input enlarged twofold by repetition.
  kDownsample3x3  // At every second pixel each way: output (y, x) sees inputs (2 y, 2 x) to
                  // (2 y + 2, 2 x + 2), zeros beyond the border.
};

struct Conv2dArgs {
  ConvKind kind = ConvKind::kSame3x3;
  const __nv_bfloat16* x_BHWI = nullptr;  // Channels last. 16-byte aligned, like all below.
  const __nv_bfloat16* weight = nullptr;  // As above.
  const float* bias_O = nullptr;
  // Added in fp32 before rounding; null: none. Not with fp32 output.
  const __nv_bfloat16* residual_BHWO = nullptr;
  // One of the two; kUpsample3x3 writes (B, 2H, 2W, O), kDownsample3x3 (B, H / 2, W / 2, O).
  __nv_bfloat16* out_BHWO = nullptr;
  float* out_fp32_BHWO = nullptr;
  // Statistics of the rounded output for a GroupNorm that follows, as GroupNormFromPartials reads
  // them: (B, Conv2dChunks, 3, 32); null: none. bf16 output, O a multiple of 32 up to 1,024.
  float* partials = nullptr;
  int B = 0;  // May be 0. B H W at most 2^29.
  int H = 0;  // Of the input. Even for kDownsample3x3, like W.
  int W = 0;
  int I = 0;  // A multiple of 8.
  int O = 0;  // bf16 output: a multiple of 8.
};

// Chunks of an image in Conv2dArgs::partials: the 4 rows x 16 columns of the input's grid (of the
// output's for kDownsample3x3), the last ones cut off at the border, that a warpgroup's matrix
// product has as its 64 rows; for kUpsample3x3 of each of the four phases. H, W: the input's.
int Conv2dChunks(ConvKind kind, int H, int W);

// Products in bf16, sums in fp32 over (channel block, tap) in an order that depends on the layer
// alone, so an image's result does not depend on B. On compute capability 9.0 by warpgroup MMA fed
// by the tensor memory accelerator; elsewhere (8.0 and up) by mma.sync: the two may differ in the
// last bit. Partials: exact counts; means and M2 from sums about values of the chunk itself, so a
// large mean costs them nothing, in an order that depends on O alone. The kernel takes
// them on its way; a pass of its own over the output does on other GPUs, and where a tile's
// channels are no whole number of groups (O not a multiple of 160, and O / 32 no power of two).
// The weights must not be written by work that the stream may still have to do: the kernel reads
// them before the kernels ahead of it are done (programmatic dependent launch), and lets the next
// kernel do so. All else is under stream order.
// cudaErrorInvalidValue: a shape or alignment beyond the limits above. Asynchronous on `stream`;
// allocates nothing. Safe in stream capture.
cudaError_t Conv2d(const Conv2dArgs& args, cudaStream_t stream);

// weight_OIkk (O, I, k, k), k = 1 for kSame1x1, else 3 -> the layout above, bf16 bits rounded to
// nearest even, into `packed` (PackedConvWeightCount elements). I here: the true number of input
// channels.
int64_t PackedConvWeightCount(ConvKind kind, int O, int I);
void PackConvWeight(ConvKind kind, const float* weight_OIkk, int O, int I, uint16_t* packed);

}  // namespace hmar::kernels

#endif  // HMAR_KERNELS_CONV2D_H_
