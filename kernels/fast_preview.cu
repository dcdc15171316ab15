#include <cuda_pipeline.h>

#include "kernels/picture_internal.cuh"

namespace hmar::kernels {
namespace {

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
