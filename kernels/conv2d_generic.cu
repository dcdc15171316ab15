// The convolution for every GPU from compute capability 8.0 on: an implicit GEMM by mma.sync, its
// operands gathered by cp.async, which also writes the zeros beyond the border.

#include <cuda_bf16.h>

#include "kernels/conv2d_internal.h"

namespace hmar::kernels {
namespace {

// A thread block: 128 pixels x 64 output channels by 8 warps of 32 x 32; a step sums 64 input
// channels of one tap.
constexpr int kThreads = 256;
constexpr int kPixels = 128;
constexpr int kOutputs = 64;
constexpr int kDepth = 64;
constexpr int kStages = 3;
constexpr int kRowBytes = kDepth * 2;
constexpr int kStageBytes = (kPixels + kOutputs) * kRowBytes;

// Rows of 128 bytes in shared memory, the 16-byte chunks of each in an order that lets eight
// successive rows be read without bank conflicts.
__device__ uint32_t ChunkOffset(int row, int chunk) {
  return row * kRowBytes + ((chunk ^ (row & 7)) << 4);
}

// 16 bytes, or zeros where there is nothing to copy.
__device__ void CopyChunk(uint32_t to, const __nv_bfloat16* from, bool inside) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to), "l"(from),
               "r"(inside ? 16 : 0)
               : "memory");
}

__device__ void LoadMatrices(uint32_t (&r)[4], uint32_t address) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(address)
               : "memory");
}

// d (16 x 8) += a (16 x 16) b (16 x 8).
__device__ void Multiply(float (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7},"
      " {%8, %9}, {%0, %1, %2, %3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

// Pixels of all images in one row: pixel = (b * H + y) * W + x of the phase's grid.
struct Pixel {
  int index, b, y, x;

  __device__ Pixel(const ConvGrid& grid, int pixel)
      : index(pixel), b(pixel / grid.W / grid.H), y(pixel / grid.W % grid.H), x(pixel % grid.W) {}
};

struct Phase {
  int index, y, x;
};

// Copies a step's operands: each thread the same chunk of every 32nd row.
class Loader {
 public:
  __device__ Loader(const Conv2dArgs& args, const ConvTaps& taps, const ConvGrid& grid, Phase phase)
      : args_(args), taps_(taps), grid_(grid), phase_(phase), pixels_(args.B * grid.H * grid.W) {}

  __device__ void LoadStep(int step, uint32_t stage) const {
    const int tap_count = taps_.side * taps_.side;
    const int tap = step % tap_count;
    const int channel = step / tap_count * kDepth + chunk_ * 8;
    LoadPixels(stage, channel, taps_.origin + phase_.y + tap / taps_.side,
               taps_.origin + phase_.x + tap % taps_.side);
    LoadWeights(stage + kPixels * kRowBytes, channel, phase_.index * tap_count + tap);
  }

 private:
  static constexpr int kRowsAtOnce = kThreads / 8;

  __device__ void LoadPixels(uint32_t stage, int channel, int dy, int dx) const {
#pragma unroll
    for (int row = 0; row < kPixels; row += kRowsAtOnce) {
      const Pixel pixel(grid_, blockIdx.x * kPixels + row + row_);
      const int y = pixel.y * taps_.stride + dy, x = pixel.x * taps_.stride + dx;
      const bool inside = pixel.index < pixels_ && channel < args_.I && y >= 0 && y < args_.H &&
                          x >= 0 && x < args_.W;
      const int64_t source = (int64_t{pixel.b} * args_.H + y) * args_.W + x;
      CopyChunk(stage + ChunkOffset(row + row_, chunk_),
                inside ? args_.x_BHWI + source * args_.I + channel : args_.x_BHWI, inside);
    }
  }

  __device__ void LoadWeights(uint32_t stage, int channel, int matrix) const {
#pragma unroll
    for (int row = 0; row < kOutputs; row += kRowsAtOnce) {
      const int o = blockIdx.y * kOutputs + row + row_;
      const bool inside = o < args_.O && channel < args_.I;
      const int64_t source = (int64_t{matrix} * args_.O + o) * args_.I + channel;
      CopyChunk(stage + ChunkOffset(row + row_, chunk_),
                inside ? args_.weight + source : args_.weight, inside);
    }
  }

  const Conv2dArgs& args_;
  const ConvTaps taps_;
  const ConvGrid grid_;
  const Phase phase_;
  const int pixels_;
  const int row_ = threadIdx.x / 8, chunk_ = threadIdx.x % 8;
};

// A warp's 32 x 32 sums, of pixels from 32 (warp % 4) and channels from 32 (warp / 4).
struct WarpSums {
  float values[2][4][4] = {};
  int pixel = threadIdx.x / 32 % 4 * 32;
  int channel = threadIdx.x / 128 * 32;

  __device__ void AddStep(uint32_t stage) {
    const int lane = threadIdx.x % 32;
#pragma unroll
    for (int k = 0; k < kDepth / 16; ++k) {
      uint32_t a[2][4], b[2][4];
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        LoadMatrices(a[i], stage + ChunkOffset(pixel + 16 * i + lane % 16, 2 * k + lane / 16));
        // Both halves of 8 channels' depth, then of the next 8 channels'.
        LoadMatrices(b[i], stage + kPixels * kRowBytes +
                               ChunkOffset(channel + 16 * i + lane / 16 * 8 + lane % 8,
                                           2 * k + lane / 8 % 2));
      }
#pragma unroll
      for (int i = 0; i < 2; ++i) {
#pragma unroll
        for (int j = 0; j < 4; ++j) {
          Multiply(values[i][j], a[i], b[j / 2][j % 2 * 2], b[j / 2][j % 2 * 2 + 1]);
        }
      }
    }
  }
};

// Two neighbouring channels of one output pixel.
__device__ void Store(const Conv2dArgs& args, int64_t output_pixel, int channel, float2 sum) {
  const int64_t at = output_pixel * args.O + channel;
  sum.x += args.bias_O[channel];
  if (channel + 1 < args.O) sum.y += args.bias_O[channel + 1];
  if (args.out_fp32_BHWO != nullptr) {
    args.out_fp32_BHWO[at] = sum.x;
    if (channel + 1 < args.O) args.out_fp32_BHWO[at + 1] = sum.y;
    return;
  }
  if (args.residual_BHWO != nullptr) {
    const float2 residual =
        __bfloat1622float2(*reinterpret_cast<const __nv_bfloat162*>(args.residual_BHWO + at));
    sum.x += residual.x, sum.y += residual.y;
  }
  *reinterpret_cast<__nv_bfloat162*>(args.out_BHWO + at) = __float22bfloat162_rn(sum);
}

__device__ void StoreSums(const Conv2dArgs& args, int scale, const ConvGrid& grid, Phase phase,
                          const WarpSums& sums) {
  const int lane = threadIdx.x % 32;
#pragma unroll
  for (int row = 0; row < 4; ++row) {  // Of the lane's: 8 pixels apart.
    const Pixel pixel(grid, blockIdx.x * kPixels + sums.pixel + 8 * row + lane / 4);
    if (pixel.index >= args.B * grid.H * grid.W) continue;
    const int64_t image_row = int64_t{pixel.index / grid.W} * scale + phase.y;  // b * H + y.
    const int64_t output_pixel = (image_row * grid.W + pixel.x) * scale + phase.x;
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      const int channel = blockIdx.y * kOutputs + sums.channel + 8 * j + lane % 4 * 2;
      const float* pair = sums.values[row / 2][j] + row % 2 * 2;
      if (channel < args.O) Store(args, output_pixel, channel, {pair[0], pair[1]});
    }
  }
}

__global__ void __launch_bounds__(kThreads)
    GenericConvKernel(const __grid_constant__ Conv2dArgs args, const ConvTaps taps,
                      const ConvGrid grid) {
  extern __shared__ __align__(128) uint8_t shared[];
  const auto base = static_cast<uint32_t>(__cvta_generic_to_shared(shared));
  const int phase_index = blockIdx.z;
  const Phase phase = {phase_index, phase_index / 2, phase_index % 2};
  const int steps = (args.I + kDepth - 1) / kDepth * taps.side * taps.side;
  const Loader loader(args, taps, grid, phase);
  WarpSums sums;
  // A group a step, empty ones past the last, so that the wait below counts right.
  const auto load = [&](int step) {
    if (step < steps) loader.LoadStep(step, base + step % kStages * kStageBytes);
    asm volatile("cp.async.commit_group;" ::: "memory");
  };
  for (int step = 0; step < kStages - 1; ++step) load(step);
  for (int step = 0; step < steps; ++step) {
    asm volatile("cp.async.wait_group %0;" ::"n"(kStages - 2) : "memory");
    __syncthreads();  // This step's operands are there, and the last step's stage is free.
    load(step + kStages - 1);
    sums.AddStep(base + step % kStages * kStageBytes);
  }
  StoreSums(args, taps.scale, grid, phase, sums);
}

}  // namespace

cudaError_t Conv2dGeneric(const Conv2dArgs& args, cudaStream_t stream) {
  const ConvTaps taps = TapsOf(args.kind);
  constexpr int kBytes = kStages * kStageBytes;
  const cudaError_t e =
      cudaFuncSetAttribute(GenericConvKernel, cudaFuncAttributeMaxDynamicSharedMemorySize, kBytes);
  if (e != cudaSuccess) return e;
  const ConvGrid grid = GridOf(args);
  const dim3 blocks(CeilDiv(args.B * grid.H * grid.W, kPixels), CeilDiv(args.O, kOutputs),
                    taps.phases);
  GenericConvKernel<<<blocks, kThreads, kBytes, stream>>>(args, taps, grid);
  const cudaError_t launched = cudaGetLastError();
  if (launched != cudaSuccess || args.partials == nullptr) return launched;
  return Conv2dPartials(args, stream);
}

}  // namespace hmar::kernels
