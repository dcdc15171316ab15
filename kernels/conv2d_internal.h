#ifndef HMAR_KERNELS_CONV2D_INTERNAL_H_
#define HMAR_KERNELS_CONV2D_INTERNAL_H_

// The two implementations behind Conv2d, for it and for tests. Arguments must be those that Conv2d
// accepts, with B > 0.

#include <cuda_runtime_api.h>

#include "kernels/conv2d.h"
#include "kernels/group_norm.h"

namespace hmar::kernels {

// The convolution of one phase at pixel (y, x) of its grid: side x side taps over the input, the
// first `origin` (+ the phase's 0 or 1, each way) from (stride y, stride x). Phase (py, px) =
// (phase / 2, phase % 2) writes output pixels (scale y + py, scale x + px).
struct ConvTaps {
  int side;
  int phases;
  int scale;
  int origin;
  int stride;
};

constexpr ConvTaps TapsOf(ConvKind kind) {
  switch (kind) {
    case ConvKind::kSame1x1:
      return {.side = 1, .phases = 1, .scale = 1, .origin = 0, .stride = 1};
    case ConvKind::kSame3x3:
      return {.side = 3, .phases = 1, .scale = 1, .origin = -1, .stride = 1};
    case ConvKind::kUpsample3x3:
      return {.side = 2, .phases = 4, .scale = 2, .origin = -1, .stride = 1};
    case ConvKind::kDownsample3x3:
      return {.side = 3, .phases = 1, .scale = 1, .origin = 0, .stride = 2};
  }
  return {};
}

constexpr int CeilDiv(int a, int b) { return (a + b - 1) / b; }

// The grid of a phase, which tiles and chunks divide: the input's, or what a stride leaves of it.
struct ConvGrid {
  int H, W;
};

constexpr ConvGrid GridOf(ConvKind kind, int H, int W) {
  const int stride = TapsOf(kind).stride;
  return {H / stride, W / stride};
}

constexpr ConvGrid GridOf(const Conv2dArgs& args) { return GridOf(args.kind, args.H, args.W); }

// Of a phase's grid: what statistics are taken of.
inline constexpr int kChunkRows = 4;
inline constexpr int kChunkColumns = 16;

// args.partials from args.out_BHWO: the bytes that the Hopper kernel would write.
cudaError_t Conv2dPartials(const Conv2dArgs& args, cudaStream_t stream);

// mma.sync, compute capability 8.0 and up.
cudaError_t Conv2dGeneric(const Conv2dArgs& args, cudaStream_t stream);

// What one thread block of the Hopper kernel computes at a time: pixels (16 wide) x output
// channels. Every tile fits every layer and gives the same bytes, partials too; they differ in
// speed. Except that fp32 output is k256x8's alone: it is for a last layer's few channels.
enum class HopperTile { k256x160, k128x160, k128x80, k128x40, k64x40, k256x64, k128x64, k256x8 };
inline constexpr HopperTile kHopperTiles[] = {
    HopperTile::k256x160, HopperTile::k128x160, HopperTile::k128x80, HopperTile::k128x40,
    HopperTile::k64x40,   HopperTile::k256x64,  HopperTile::k128x64, HopperTile::k256x8};

// Whether the current device has compute capability 9.0 and its driver can describe tensors.
bool HopperAvailable();
HopperTile ChooseHopperTile(const Conv2dArgs& args, int multiprocessors);
cudaError_t Conv2dHopper(const Conv2dArgs& args, HopperTile tile, cudaStream_t stream);

}  // namespace hmar::kernels

#endif  // HMAR_KERNELS_CONV2D_INTERNAL_H_
