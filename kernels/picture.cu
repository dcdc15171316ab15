#include "kernels/picture.h"

#include <cuda_pipeline.h>

#include <cmath>

namespace hmar::kernels {
namespace {

constexpr int kThreads = 256;

int64_t CeilDiv(int64_t a, int64_t b) { return (a + b - 1) / b; }

bool Aligned(const void* pointer, uintptr_t bytes) {
  return reinterpret_cast<uintptr_t>(pointer) % bytes == 0;
}

// Grids here are one-dimensional: up to 2^31 - 1 blocks.
bool FitsGrid(int64_t blocks) { return blocks <= INT32_MAX; }

__device__ uint32_t PackPair(float low, float high) {
  const __nv_bfloat162 pair = __floats2bfloat162_rn(low, high);
  return *reinterpret_cast<const uint32_t*>(&pair);
}

// ---- GatherFeatures: 4 floats a thread.

__global__ void __launch_bounds__(kThreads)
    GatherKernel(const float* f_hat_PPZ, const int32_t* slots_B, int64_t floats,
                 int blocks_an_image, __nv_bfloat16* out_BPPZ) {
  const int64_t b = blockIdx.x / blocks_an_image;
  const int64_t i = (blockIdx.x % blocks_an_image * int64_t{kThreads} + threadIdx.x) * 4;
  if (i >= floats) return;
  const float4 v = *reinterpret_cast<const float4*>(f_hat_PPZ + slots_B[b] * floats + i);
  *reinterpret_cast<uint2*>(out_BPPZ + b * floats + i) = {PackPair(v.x, v.y), PackPair(v.z, v.w)};
}

// ---- PictureBytes

// floor(255 (x + 1) / 2 + 0.5), each operation rounded by itself: a fused multiply-add would round
// once and give another byte here and there. fmaxf drops a NaN.
__device__ uint32_t ByteOf(float x) {
  const float clamped = fminf(fmaxf(x, -1.0f), 1.0f);
  const float half = __fmul_rn(__fadd_rn(clamped, 1.0f), 0.5f);
  return static_cast<uint32_t>(__fadd_rn(__fmul_rn(half, 255.0f), 0.5f));
}

__device__ uint32_t PackBytes(const float (&x)[4]) {
  return ByteOf(x[0]) | ByteOf(x[1]) << 8 | ByteOf(x[2]) << 16 | ByteOf(x[3]) << 24;
}

constexpr int kWordsAThread = 4;

// Byte `index` of the picture comes from channel index % 3 of pixel index / 3; with kPlain (C = 3)
// that is float `index`.
template <bool kPlain>
__device__ float SourceOf(const float* x_NC, int C, int64_t index) {
  return kPlain ? x_NC[index] : x_NC[index / 3 * C + index % 3];
}

// Words of 4 bytes, a block's threads side by side; the last one may be short.
template <bool kPlain>
__global__ void __launch_bounds__(kThreads)
    PictureBytesKernel(const float* x_NC, int C, int64_t bytes, uint8_t* out_N3) {
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
    } else {
      for (int64_t j = begin; j < bytes; ++j) {
        out_N3[j] = static_cast<uint8_t>(ByteOf(SourceOf<kPlain>(x_NC, C, j)));
      }
    }
  }
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

// ---- Upsample2x: a thread copies one vector of 8 channels to its four places.

// `vectors`: of a position, C / 8. Blocks: (rows of the input, blocks_a_row).
__global__ void __launch_bounds__(kThreads)
    UpsampleKernel(const uint4* x, int W, int vectors, int blocks_a_row, uint4* out) {
  const int64_t row = blockIdx.x / blocks_a_row, width = int64_t{W} * vectors;
  const int64_t i = blockIdx.x % blocks_a_row * int64_t{kThreads} + threadIdx.x;
  if (i >= width) return;
  const uint4 value = x[row * width + i];
  // Input column w = i / vectors goes to columns 2w and 2w + 1, of output rows twice as wide.
  const int64_t left = 2 * i - static_cast<uint32_t>(i) % static_cast<uint32_t>(vectors);
  uint4* const top = out + row * 4 * width + left;
  uint4* const bottom = top + 2 * width;
  top[0] = top[vectors] = value;
  bottom[0] = bottom[vectors] = value;
}

// ---- FastPreview
//
// One block a band of kBand rows of cells of one image; one thread a column of cells x and a pixel
// row i of each of its kBand cells: 3 q outputs a cell, kBand cells that share each weight it
// loads. Inputs lie in shared memory (kBand + 2 rows, P + 2 columns, some channels), zeros beyond
// the border. Weights come through the L1, the same for half or whole warps.

constexpr int kBand = 4;
constexpr int kTileRows = kBand + 2;
constexpr int kMaxGrid = 64;      // P
constexpr int kMaxChannels = 64;  // Z
constexpr int kMaxPixels = 4;     // q
constexpr int kPreviewThreads = kMaxGrid * kMaxPixels;
constexpr int kSharedBytes = 48 * 1024;  // What a launch has without asking.

// float4s from one cell to the next for `channels` of them: odd, so that 8 lanes side by side hit
// all 32 banks.
__host__ __device__ constexpr int CellStride(int channels) { return channels / 4 | 1; }

constexpr size_t TileBytes(int P, int channels) {
  return sizeof(float4) * kTileRows * (P + 2) * CellStride(channels);
}
static_assert(TileBytes(kMaxGrid, 16) <= kSharedBytes, "16 channels at once always fit");

__device__ int ThreadOfBlock() { return threadIdx.y * blockDim.x + threadIdx.x; }

// Channels [z, z + channels) of the band's rows and their neighbours, asynchronously; cells
// `stride` float4s apart.
__device__ void LoadTile(const float* f_hat_PPZ, int P, int Z, int first_row, int z, int channels,
                         int stride, float4* tile) {
  const int vectors = channels / 4, columns = P + 2;
  const int count = kTileRows * columns * vectors, threads = blockDim.x * blockDim.y;
  for (int i = ThreadOfBlock(); i < count; i += threads) {
    const int cell = i / vectors, vector = i % vectors;
    const int y = first_row - 1 + cell / columns, x = cell % columns - 1;
    const bool inside = y >= 0 && y < P && x >= 0 && x < P;
    const float* const from = f_hat_PPZ + (inside ? (y * P + x) * Z + z + vector * 4 : 0);
    __pipeline_memcpy_async(tile + cell * stride + vector, from, 16, inside ? 0 : 16);
  }
  __pipeline_commit();
}

// The weights of one input to pixel row i of the three channels: (3, q).
template <int q>
__device__ void LoadWeights(const float* weight_O, float (&out)[3 * q]) {
#pragma unroll
  for (int channel = 0; channel < 3; ++channel) {
    const float* const from = weight_O + channel * q * q;
    float* const to = out + channel * q;
    if constexpr (q == 4) {
      const float4 v = __ldg(reinterpret_cast<const float4*>(from));
      to[0] = v.x, to[1] = v.y, to[2] = v.z, to[3] = v.w;
    } else {
#pragma unroll
      for (int j = 0; j < q; ++j) to[j] = __ldg(from + j);
    }
  }
}

// Adds four channels' share of one tap to a thread's outputs. cell: the channels at the tap's
// neighbour of the thread's first cell; weight: of the first of them, for the thread's pixel row.
template <int q>
__device__ void AddChannels(const float4* cell, int row_stride, const float* weight,
                            float (&sums)[kBand][3 * q]) {
  float inputs[kBand][4];
#pragma unroll
  for (int m = 0; m < kBand; ++m) {
    const float4 v = cell[m * row_stride];
    inputs[m][0] = v.x, inputs[m][1] = v.y, inputs[m][2] = v.z, inputs[m][3] = v.w;
  }
#pragma unroll
  for (int u = 0; u < 4; ++u) {
    float weights[3 * q];
    LoadWeights<q>(weight + u * 3 * q * q, weights);
#pragma unroll
    for (int m = 0; m < kBand; ++m) {
#pragma unroll
      for (int o = 0; o < 3 * q; ++o) sums[m][o] = fmaf(inputs[m][u], weights[o], sums[m][o]);
    }
  }
}

// The q pixels of one row of a cell, sums (channel, pixel column), to `out`, RGB RGB ...
template <int q>
__device__ void StorePixels(const float (&sums)[3 * q], uint8_t* out) {
  if constexpr (q == 4) {
#pragma unroll
    for (int word = 0; word < 3; ++word) {
      float x[4];
#pragma unroll
      for (int j = 0; j < 4; ++j) x[j] = sums[(4 * word + j) % 3 * q + (4 * word + j) / 3];
      reinterpret_cast<uint32_t*>(out)[word] = PackBytes(x);
    }
  } else {
#pragma unroll
    for (int byte = 0; byte < 3 * q; ++byte) {
      out[byte] = static_cast<uint8_t>(ByteOf(sums[byte % 3 * q + byte / 3]));
    }
  }
}

// `channels`: how many of Z the tile holds at once.
template <int q>
__global__ void __launch_bounds__(kPreviewThreads, 2)
    FastPreviewKernel(FastPreviewArgs args, int channels) {
  extern __shared__ float4 tile[];
  constexpr int kOutputs = 3 * q * q;
  const int P = args.P, Z = args.Z, bands = (P + kBand - 1) / kBand;
  const int64_t b = blockIdx.x / bands;
  const int first_row = blockIdx.x % bands * kBand;
  const int x = threadIdx.x, i = threadIdx.y;
  const float* const f_hat = args.f_hat_PPZ + int64_t{args.slots_B[b]} * P * P * Z;
  const int cell_stride = CellStride(channels), row_stride = (P + 2) * cell_stride;

  float sums[kBand][3 * q];
  LoadWeights<q>(args.bias + i * q, sums[0]);
#pragma unroll
  for (int m = 1; m < kBand; ++m) {
#pragma unroll
    for (int o = 0; o < 3 * q; ++o) sums[m][o] = sums[0][o];
  }
  for (int z = 0; z < Z; z += channels) {
    const int here = min(channels, Z - z);
    if (z > 0) __syncthreads();  // The tile before is done with.
    LoadTile(f_hat, P, Z, first_row, z, here, cell_stride, tile);
    __pipeline_wait_prior(0);
    __syncthreads();
    for (int tap = 0; tap < 9; ++tap) {
      const float4* const cell = tile + tap / 3 * row_stride + (x + tap % 3) * cell_stride;
      const float* const weight = args.weight + (tap * Z + z) * kOutputs + i * q;
#pragma unroll 1
      for (int c = 0; c < here; c += 4) {
        AddChannels<q>(cell + c / 4, row_stride, weight + c * kOutputs, sums);
      }
    }
  }
#pragma unroll
  for (int m = 0; m < kBand; ++m) {
    const int64_t y = first_row + m;
    if (y < P) StorePixels<q>(sums[m], args.out_B + (((b * P + y) * q + i) * P + x) * q * 3);
  }
}

template <int q>
cudaError_t LaunchFastPreview(const FastPreviewArgs& args, cudaStream_t stream) {
  const int64_t blocks = args.B * CeilDiv(args.P, kBand);
  if (!FitsGrid(blocks)) return cudaErrorInvalidValue;
  const int channels = TileBytes(args.P, args.Z) <= kSharedBytes ? args.Z : 16;
  FastPreviewKernel<q>
      <<<static_cast<unsigned>(blocks), dim3(args.P, q), TileBytes(args.P, channels), stream>>>(
          args, channels);
  return cudaGetLastError();
}

}  // namespace

cudaError_t GatherFeatures(const float* f_hat_PPZ, const int32_t* slots_B, int B, int64_t floats,
                           __nv_bfloat16* out_BPPZ, cudaStream_t stream) {
  if (B < 0 || floats < 0 || floats % 4 != 0) return cudaErrorInvalidValue;
  if (!Aligned(f_hat_PPZ, 16) || !Aligned(out_BPPZ, 16)) return cudaErrorInvalidValue;
  const int64_t blocks = CeilDiv(floats, 4 * kThreads);
  if (B == 0 || blocks == 0) return cudaSuccess;
  if (!FitsGrid(blocks) || !FitsGrid(B * blocks)) return cudaErrorInvalidValue;
  GatherKernel<<<static_cast<unsigned>(B * blocks), kThreads, 0, stream>>>(
      f_hat_PPZ, slots_B, floats, static_cast<int>(blocks), out_BPPZ);
  return cudaGetLastError();
}

cudaError_t PictureBytes(const float* x_NC, int C, int64_t pixels, uint8_t* out_N3,
                         cudaStream_t stream) {
  if (C < 3 || pixels < 0) return cudaErrorInvalidValue;
  if (!Aligned(x_NC, 16) || !Aligned(out_N3, 4)) return cudaErrorInvalidValue;
  const int64_t blocks = CeilDiv(3 * pixels, 4 * kThreads * kWordsAThread);
  if (blocks == 0) return cudaSuccess;
  if (!FitsGrid(blocks)) return cudaErrorInvalidValue;
  const auto kernel = C == 3 ? PictureBytesKernel<true> : PictureBytesKernel<false>;
  kernel<<<static_cast<unsigned>(blocks), kThreads, 0, stream>>>(x_NC, C, 3 * pixels, out_N3);
  return cudaGetLastError();
}

cudaError_t SoftmaxRows(const float* x, int64_t rows, int n, __nv_bfloat16* out,
                        cudaStream_t stream) {
  if (rows < 0 || n < 1 || n > kBlockRow) return cudaErrorInvalidValue;
  if (!Aligned(x, 16) || !Aligned(out, 16)) return cudaErrorInvalidValue;
  const int64_t blocks = n <= kWarpRow ? CeilDiv(rows, kWarps) : rows;
  if (blocks == 0) return cudaSuccess;
  if (!FitsGrid(blocks)) return cudaErrorInvalidValue;
  const auto kernel = n <= kWarpRow ? SoftmaxKernel<1> : SoftmaxKernel<kWarps>;
  kernel<<<static_cast<unsigned>(blocks), kThreads, 0, stream>>>(x, rows, n, out);
  return cudaGetLastError();
}

cudaError_t Upsample2x(const __nv_bfloat16* x_BHWC, int B, int H, int W, int C, __nv_bfloat16* out,
                       cudaStream_t stream) {
  if (B < 0 || H < 0 || W < 0 || C < 8 || C % 8 != 0) return cudaErrorInvalidValue;
  if (!Aligned(x_BHWC, 16) || !Aligned(out, 16)) return cudaErrorInvalidValue;
  const int64_t rows = int64_t{B} * H, width = int64_t{W} * (C / 8);
  if (rows == 0 || width == 0) return cudaSuccess;
  const int64_t blocks = CeilDiv(width, kThreads);
  if (!FitsGrid(width) || !FitsGrid(rows) || !FitsGrid(rows * blocks)) return cudaErrorInvalidValue;
  UpsampleKernel<<<static_cast<unsigned>(rows * blocks), kThreads, 0, stream>>>(
      reinterpret_cast<const uint4*>(x_BHWC), W, C / 8, static_cast<int>(blocks),
      reinterpret_cast<uint4*>(out));
  return cudaGetLastError();
}

cudaError_t FastPreview(const FastPreviewArgs& args, cudaStream_t stream) {
  if (args.B < 0 || args.P < 1 || args.P > kMaxGrid) return cudaErrorInvalidValue;
  if (args.Z < 4 || args.Z > kMaxChannels || args.Z % 4 != 0) return cudaErrorInvalidValue;
  if (!Aligned(args.f_hat_PPZ, 16) || !Aligned(args.weight, 16) || !Aligned(args.bias, 16) ||
      !Aligned(args.out_B, 4)) {
    return cudaErrorInvalidValue;
  }
  if (args.B == 0) return cudaSuccess;
  switch (args.q) {
    case 1:
      return LaunchFastPreview<1>(args, stream);
    case 2:
      return LaunchFastPreview<2>(args, stream);
    case 3:
      return LaunchFastPreview<3>(args, stream);
    case 4:
      return LaunchFastPreview<4>(args, stream);
    default:
      return cudaErrorInvalidValue;
  }
}

}  // namespace hmar::kernels
