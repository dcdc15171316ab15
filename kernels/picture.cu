#include <cmath>

#include "kernels/dependent_launch.cuh"
#include "kernels/picture_internal.cuh"

namespace hmar::kernels {
namespace {

constexpr int kThreads = 256;

__device__ uint32_t PackPair(float low, float high) {
  const __nv_bfloat162 pair = __floats2bfloat162_rn(low, high);
  return *reinterpret_cast<const uint32_t*>(&pair);
}

// ---- GatherFeatures: 4 floats a thread.

__global__ void __launch_bounds__(kThreads)
    GatherKernel(const float* f_hat_PPZ, const int32_t* slots_B, int64_t floats,
                 int blocks_an_image, __nv_bfloat16* out_BPPZ) {
  AwaitPredecessor();
  const int64_t b = blockIdx.x / blocks_an_image;
  const int64_t i = (blockIdx.x % blocks_an_image * int64_t{kThreads} + threadIdx.x) * 4;
  if (i >= floats) return;
  const float4 v = *reinterpret_cast<const float4*>(f_hat_PPZ + slots_B[b] * floats + i);
  *reinterpret_cast<uint2*>(out_BPPZ + b * floats + i) = {PackPair(v.x, v.y), PackPair(v.z, v.w)};
}

// ---- PictureBytes

constexpr int kWordsAThread = 4;

// Byte `index` of the picture comes from channel index % 3 of pixel index / 3; with kPlain (C = 3)
// that is float `index`.
template <bool kPlain>
__device__ float SourceOf(const float* x_NC, int C, int64_t index) {
  return kPlain ? x_NC[index] : x_NC[index / 3 * C + index % 3];
}

__device__ bool AllFinite(const float (&x)[4]) {
  return isfinite(x[0]) && isfinite(x[1]) && isfinite(x[2]) && isfinite(x[3]);
}

// Marks the picture of byte `index` if its value is not finite.
__device__ void Check(float x, int64_t index, int64_t bytes_a_picture, int32_t* failed_B) {
  if (failed_B != nullptr && !isfinite(x)) failed_B[index / bytes_a_picture] = 1;
}

// Words of 4 bytes, a block's threads side by side; the last one may be short.
template <bool kPlain>
__global__ void __launch_bounds__(kThreads)
    PictureBytesKernel(const float* x_NC, int C, int64_t bytes, int64_t bytes_a_picture,
                       uint8_t* out_N3, int32_t* failed_B) {
  AwaitPredecessor();
  const int64_t first = blockIdx.x * int64_t{kThreads * kWordsAThread} + threadIdx.x;
#pragma unroll
  for (int i = 0; i < kWordsAThread; ++i) {
    const int64_t begin = (first + i * kThreads) * 4;
    if (begin + 4 <= bytes) {
      float x[4];
      if constexpr (kPlain) {
        const float4 v = *reinterpret_cast<const float4*>(x_NC + begin);
        x[0] = v.x, x[1] = v.y, x[2] = v.z, x[3] = v.w;
      } else {
#pragma unroll
        for (int j = 0; j < 4; ++j) x[j] = SourceOf<kPlain>(x_NC, C, begin + j);
      }
      *reinterpret_cast<uint32_t*>(out_N3 + begin) = PackBytes(x);
      if (AllFinite(x)) continue;
      for (int j = 0; j < 4; ++j) Check(x[j], begin + j, bytes_a_picture, failed_B);
    } else {
      for (int64_t j = begin; j < bytes; ++j) {
        const float x = SourceOf<kPlain>(x_NC, C, j);
        out_N3[j] = static_cast<uint8_t>(ByteOf(x));
        Check(x, j, bytes_a_picture, failed_B);
      }
    }
  }
}

// ---- EncoderPixels: a pixel a thread.

__device__ float EncoderValue(uint8_t byte) { return static_cast<float>(2 * int{byte} - 255); }

__global__ void __launch_bounds__(kThreads)
    EncoderPixelsKernel(const uint8_t* rgb_N3, int64_t pixels, __nv_bfloat16* out_N8) {
  AwaitPredecessor();
  const int64_t pixel = blockIdx.x * int64_t{kThreads} + threadIdx.x;
  if (pixel >= pixels) return;
  const uint8_t* const rgb = rgb_N3 + pixel * 3;
  const uint4 packed = {PackPair(EncoderValue(rgb[0]), EncoderValue(rgb[1])),
                        PackPair(EncoderValue(rgb[2]), 0), 0, 0};
  *reinterpret_cast<uint4*>(out_N8 + pixel * 8) = packed;
}

// ---- SoftmaxRows: a row stays in the registers of one warp (n up to 512) or of a block.

constexpr int kSoftmaxValues = 16;  // A thread.
constexpr int kWarpRow = 32 * kSoftmaxValues;
constexpr int kBlockRow = kThreads * kSoftmaxValues;
constexpr int kWarps = kThreads / 32;

struct Max {
  __device__ float operator()(float a, float b) const { return fmaxf(a, b); }
};
struct Sum {
  __device__ float operator()(float a, float b) const { return a + b; }
};

// Over the threads of a row, in the same order every time; `shared` is this reduction's own.
template <int kRowWarps, typename Op>
__device__ float Reduce(float value, Op op, float (&shared)[kWarps]) {
#pragma unroll
  for (int offset = 16; offset > 0; offset /= 2) {
    value = op(value, __shfl_xor_sync(0xFFFFFFFFu, value, offset));
  }
  if constexpr (kRowWarps > 1) {
    if (threadIdx.x % 32 == 0) shared[threadIdx.x / 32] = value;
    __syncthreads();
    value = shared[0];
#pragma unroll
    for (int warp = 1; warp < kRowWarps; ++warp) value = op(value, shared[warp]);
  }
  return value;
}

template <int kRowWarps>
__global__ void __launch_bounds__(kThreads)
    SoftmaxKernel(const float* x, int64_t rows, int n, __nv_bfloat16* out) {
  static_assert(kRowWarps == 1 || kRowWarps == kWarps, "a row is a warp's or a block's");
  __shared__ float maxima[kWarps], sums[kWarps];
  AwaitPredecessor();
  constexpr int kRowThreads = 32 * kRowWarps;
  const int64_t row = blockIdx.x * int64_t{kThreads / kRowThreads} + threadIdx.x / kRowThreads;
  if (row >= rows) return;  // Whole warps; with a block a row, never.
  const int lane = threadIdx.x % kRowThreads;
  float values[kSoftmaxValues];
#pragma unroll
  for (int i = 0; i < kSoftmaxValues; ++i) {
    const int at = lane + i * kRowThreads;
    values[i] = at < n ? x[row * n + at] : -INFINITY;
  }
  float largest = values[0];
#pragma unroll
  for (int i = 1; i < kSoftmaxValues; ++i) largest = fmaxf(largest, values[i]);
  largest = Reduce<kRowWarps>(largest, Max(), maxima);
  float sum = 0;
#pragma unroll
  for (int i = 0; i < kSoftmaxValues; ++i) {
    values[i] = __expf(values[i] - largest);
    // A row of nothing but -infinity has NaN here, also beyond its end: as PyTorch's.
    sum += values[i];
  }
  const float inverse = 1 / Reduce<kRowWarps>(sum, Sum(), sums);
#pragma unroll
  for (int i = 0; i < kSoftmaxValues; ++i) {
    const int at = lane + i * kRowThreads;
    if (at < n) out[row * n + at] = __float2bfloat16_rn(values[i] * inverse);
  }
}

}  // namespace

cudaError_t GatherFeatures(const float* f_hat_PPZ, const int32_t* slots_B, int B, int64_t floats,
                           __nv_bfloat16* out_BPPZ, cudaStream_t stream) {
  if (B < 0 || floats < 0 || floats % 4 != 0) return cudaErrorInvalidValue;
  if (!Aligned(f_hat_PPZ, 16) || !Aligned(out_BPPZ, 16)) return cudaErrorInvalidValue;
  const int64_t blocks = CeilDiv(floats, 4 * kThreads);
  if (B == 0 || blocks == 0) return cudaSuccess;
  if (!FitsGrid(blocks) || !FitsGrid(B * blocks)) return cudaErrorInvalidValue;
  return LaunchDependent(GatherKernel, static_cast<unsigned>(B * blocks), kThreads, 0, stream,
                         f_hat_PPZ, slots_B, floats, static_cast<int>(blocks), out_BPPZ);
}

cudaError_t PictureBytes(const PictureBytesArgs& args, cudaStream_t stream) {
  if (args.C < 3 || args.B < 0 || args.N < 0) return cudaErrorInvalidValue;
  if (!Aligned(args.x_BNC, 16) || !Aligned(args.out_BN3, 4) || !Aligned(args.failed_B, 4)) {
    return cudaErrorInvalidValue;
  }
  const int64_t bytes = 3 * args.N * args.B;
  const int64_t blocks = CeilDiv(bytes, 4 * kThreads * kWordsAThread);
  if (blocks == 0) return cudaSuccess;
  if (!FitsGrid(blocks)) return cudaErrorInvalidValue;
  const auto kernel = args.C == 3 ? PictureBytesKernel<true> : PictureBytesKernel<false>;
  return LaunchDependent(kernel, static_cast<unsigned>(blocks), kThreads, 0, stream, args.x_BNC,
                         args.C, bytes, 3 * args.N, args.out_BN3, args.failed_B);
}

cudaError_t EncoderPixels(const uint8_t* rgb_N3, int64_t pixels, __nv_bfloat16* out_N8,
                          cudaStream_t stream) {
  if (pixels < 0 || !Aligned(out_N8, 16)) return cudaErrorInvalidValue;
  const int64_t blocks = CeilDiv(pixels, kThreads);
  if (blocks == 0) return cudaSuccess;
  if (!FitsGrid(blocks)) return cudaErrorInvalidValue;
  return LaunchDependent(EncoderPixelsKernel, static_cast<unsigned>(blocks), kThreads, 0, stream,
                         rgb_N3, pixels, out_N8);
}

cudaError_t SoftmaxRows(const float* x, int64_t rows, int n, __nv_bfloat16* out,
                        cudaStream_t stream) {
  if (rows < 0 || n < 1 || n > kBlockRow) return cudaErrorInvalidValue;
  if (!Aligned(x, 16) || !Aligned(out, 16)) return cudaErrorInvalidValue;
  const int64_t blocks = n <= kWarpRow ? CeilDiv(rows, kWarps) : rows;
  if (blocks == 0) return cudaSuccess;
  if (!FitsGrid(blocks)) return cudaErrorInvalidValue;
  const auto kernel = n <= kWarpRow ? SoftmaxKernel<1> : SoftmaxKernel<kWarps>;
  return LaunchDependent(kernel, static_cast<unsigned>(blocks), kThreads, 0, stream, x, rows, n,
                         out);
}

}  // namespace hmar::kernels
