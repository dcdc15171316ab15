#include "kernels/conv2d.h"

#include <algorithm>
#include <cstring>

#include "kernels/conv2d_internal.h"

namespace hmar::kernels {
namespace {

bool Aligned16(const void* pointer) { return reinterpret_cast<uintptr_t>(pointer) % 16 == 0; }

bool ValidShape(const Conv2dArgs& a) {
  if (a.B < 0 || a.H <= 0 || a.W <= 0 || a.I <= 0 || a.O <= 0 || a.I % 8 != 0) return false;
  const ConvTaps taps = TapsOf(a.kind);
  if (taps.side == 0 || a.H % taps.stride != 0 || a.W % taps.stride != 0) return false;
  // Pixels are counted in 32 bits; offsets of elements are not.
  constexpr int64_t kMaxPixels = int64_t{1} << 29;
  const int64_t image = int64_t{a.H} * a.W;
  return image <= kMaxPixels && a.B <= kMaxPixels / image;
}

bool ValidPartials(const Conv2dArgs& a) {
  const int64_t chunks = int64_t{a.B} * Conv2dChunks(a.kind, a.H, a.W);
  return a.out_BHWO != nullptr && a.O % kGroups == 0 && a.O <= kMaxNormChannels &&
         chunks <= INT32_MAX;
}

bool ValidTensors(const Conv2dArgs& a) {
  if (a.x_BHWI == nullptr || a.weight == nullptr || a.bias_O == nullptr) return false;
  if ((a.out_BHWO == nullptr) == (a.out_fp32_BHWO == nullptr)) return false;
  if (a.out_BHWO != nullptr && a.O % 8 != 0) return false;
  if (a.out_fp32_BHWO != nullptr && a.residual_BHWO != nullptr) return false;
  if (a.partials != nullptr && !ValidPartials(a)) return false;
  return Aligned16(a.x_BHWI) && Aligned16(a.weight) && Aligned16(a.bias_O) &&
         Aligned16(a.residual_BHWO) && Aligned16(a.out_BHWO) && Aligned16(a.out_fp32_BHWO) &&
         Aligned16(a.partials);
}

uint16_t RoundToBf16(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  if (value != value) return static_cast<uint16_t>(bits >> 16 | 0x40);  // Stays a NaN.
  return static_cast<uint16_t>((bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
}

// The rows (or columns) of a 3 x 3 kernel that meet in tap `tap` of a layer's phase: [begin, end).
struct Span {
  int begin, end;
};

Span SourceTaps(ConvKind kind, int phase_bit, int tap) {
  if (kind != ConvKind::kUpsample3x3) return {tap, tap + 1};
  // Phase 0 sees its pixel's predecessor once and the pixel twice; phase 1 the pixel twice and its
  // successor once.
  const int split = phase_bit == 0 ? 1 : 2;
  return tap == 0 ? Span{0, split} : Span{split, 3};
}

float SumTaps(const float* kernel, Span rows, Span columns, int side) {
  float sum = 0;
  for (int y = rows.begin; y < rows.end; ++y) {
    for (int x = columns.begin; x < columns.end; ++x) sum += kernel[y * side + x];
  }
  return sum;
}

}  // namespace

cudaError_t Conv2d(const Conv2dArgs& args, cudaStream_t stream) {
  if (!ValidShape(args)) return cudaErrorInvalidValue;
  if (args.B == 0) return cudaSuccess;
  if (!ValidTensors(args)) return cudaErrorInvalidValue;
  if (!HopperAvailable()) return Conv2dGeneric(args, stream);
  int device = 0, multiprocessors = 0;
  if (const cudaError_t e = cudaGetDevice(&device); e != cudaSuccess) return e;
  const cudaError_t e =
      cudaDeviceGetAttribute(&multiprocessors, cudaDevAttrMultiProcessorCount, device);
  if (e != cudaSuccess) return e;
  return Conv2dHopper(args, ChooseHopperTile(args, multiprocessors), stream);
}

int Conv2dChunks(ConvKind kind, int H, int W) {
  const ConvGrid grid = GridOf(kind, H, W);
  return TapsOf(kind).phases * CeilDiv(grid.H, kChunkRows) * CeilDiv(grid.W, kChunkColumns);
}

int64_t PackedConvWeightCount(ConvKind kind, int O, int I) {
  const ConvTaps taps = TapsOf(kind);
  return int64_t{taps.phases} * taps.side * taps.side * O * CeilDiv(I, 8) * 8;
}

void PackConvWeight(ConvKind kind, const float* weight_OIkk, int O, int I, uint16_t* packed) {
  const ConvTaps taps = TapsOf(kind);
  const int side = kind == ConvKind::kSame1x1 ? 1 : 3;
  const int padded_I = CeilDiv(I, 8) * 8;
  for (int matrix = 0; matrix < taps.phases * taps.side * taps.side; ++matrix) {
    const int phase = matrix / (taps.side * taps.side), tap = matrix % (taps.side * taps.side);
    const Span rows = SourceTaps(kind, phase / 2, tap / taps.side);
    const Span columns = SourceTaps(kind, phase % 2, tap % taps.side);
    for (int o = 0; o < O; ++o) {
      const float* kernels = weight_OIkk + int64_t{o} * I * side * side;
      uint16_t* row = packed + (int64_t{matrix} * O + o) * padded_I;
      for (int i = 0; i < I; ++i) {
        row[i] = RoundToBf16(SumTaps(kernels + i * side * side, rows, columns, side));
      }
      std::fill(row + I, row + padded_I, uint16_t{0});
    }
  }
}

}  // namespace hmar::kernels
