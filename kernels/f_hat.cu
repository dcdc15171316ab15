#include "kernels/f_hat.h"

#include <cuda_pipeline_primitives.h>

#include "kernels/dependent_launch.cuh"
#include "kernels/f_hat_enlarge.cuh"

// A block makes a tile of 2 x 16 output pixels of one image. It loads phi's weights while it
// enlarges the tile's h, one pixel beyond it on each side, into shared memory. A lane is a channel.
// In the convolution a warp has 8 pixels of a row: an h value, the same for all lanes, serves 3
// taps and a weight 8 pixels. Fewer pixels a warp make it wait for shared memory, but where a step
// has few images their tiles spread over more SMs: then a warp has 2, a tile 2 x 4.

namespace hmar::kernels {
namespace {

constexpr int kManyPixels = 8;  // A warp's.
constexpr int kFewPixels = 2;
constexpr int64_t kFewTiles = 64;  // Of kManyPixels: so many leave half of an H200 idle.

// Starts the copy of the weights of input channels [first, first + kStage); zeros beyond Z, where h
// is zero too. Output channels beyond Z stay undefined: nobody stores what they give.
template <typename S>
__device__ void StageWeights(const float* phi_Z9Z, int Z, int first, S* shared) {
  const int rows = min(S::kStage, Z - first) * 9;
  const float* source = phi_Z9Z + first * 9 * Z;
  float* target = &shared->phi[0][0][0];
  if (Z == S::kZ) {
    for (int i = threadIdx.x * 4; i < rows * S::kZ; i += kWarps * kWarp * 4) {
      __pipeline_memcpy_async(target + i, source + i, 16);
    }
  } else {
    for (int row = threadIdx.x / kWarp; row < S::kStage * 9; row += kWarps) {
      for (int z = threadIdx.x % kWarp; z < Z; z += kWarp) {
        if (row < rows) {
          __pipeline_memcpy_async(target + row * S::kZ + z, source + row * Z + z, 4);
        } else {
          target[row * S::kZ + z] = 0;
        }
      }
    }
  }
  __pipeline_commit();
}

// A lane's, at the warp's pixels.
template <typename S>
using Sums = float[S::kPieces][S::kPixels];

// Adds to the warp's sums the taps of the kernel's row dy for input channels [z, z + 4), whose
// weights start at phi[stage_z].
template <typename S>
__device__ void AddTaps(const S& shared, int row, int column, int dy, int z, int stage_z,
                        Sums<S>& sum) {
  const int lane = threadIdx.x % kWarp;
  float h[S::kPixels + 2][4];
#pragma unroll
  for (int i = 0; i < S::kPixels + 2; ++i) {
    const float4 four = *reinterpret_cast<const float4*>(&shared.h[row + dy][column + i][z]);
    h[i][0] = four.x, h[i][1] = four.y, h[i][2] = four.z, h[i][3] = four.w;
  }
#pragma unroll
  for (int j = 0; j < 4; ++j) {
#pragma unroll
    for (int dx = 0; dx < 3; ++dx) {
#pragma unroll
      for (int piece = 0; piece < S::kPieces; ++piece) {
        const float w = shared.phi[stage_z + j][dy * 3 + dx][piece * kWarp + lane];
#pragma unroll
        for (int i = 0; i < S::kPixels; ++i)
          sum[piece][i] = __fmaf_rn(h[i + dx][j], w, sum[piece][i]);
      }
    }
  }
}

// Where the warp's pixels lie in the tile.
__device__ int WarpRow() { return threadIdx.x / kWarp / (kWarps / kTileRows); }
template <typename S>
__device__ int WarpColumn() {
  return threadIdx.x / kWarp % (kWarps / kTileRows) * S::kPixels;
}

// The convolution at the warp's pixels.
template <typename S>
__device__ void Convolve(const Image& image, int Z, S* shared, Sums<S>& sum) {
  for (int first = 0; first < Z; first += S::kStage) {
    if (first > 0) {
      __syncthreads();  // The stage before is done with.
      StageWeights(image.phi_Z9Z, Z, first, shared);
    }
    __pipeline_wait_prior(0);
    __syncthreads();
    for (int z = first; z < min(first + S::kStage, Z); z += 4) {
#pragma unroll
      for (int dy = 0; dy < 3; ++dy) {
        AddTaps(*shared, WarpRow(), WarpColumn<S>(), dy, z, z - first, sum);
      }
    }
  }
}

// The warp's pixels of the output, before (0 where they are to be overwritten) or after.
template <typename S>
struct Pixels {
  Sums<S> value = {};

  // Calls visit(value, the address that it has in the output), where there is one.
  template <typename Visitor>
  __device__ void ForEach(const Image& image, int Z, const Visitor& visit) {
    const int y = image.y0 + WarpRow(), x = image.x0 + WarpColumn<S>();
    float* row = image.out_PPZ + (y * image.P + x) * Z;
#pragma unroll
    for (int piece = 0; piece < S::kPieces; ++piece) {
      const int z = threadIdx.x % kWarp + piece * kWarp;
#pragma unroll
      for (int i = 0; i < S::kPixels; ++i) {
        if (z < Z && y < image.P && x + i < image.P) visit(&value[piece][i], row + i * Z + z);
      }
    }
  }
};

// The bias of the lane's channels.
template <int kPieces>
struct Bias {
  float value[kPieces];

  __device__ Bias(const Image& image, int Z) {
#pragma unroll
    for (int piece = 0; piece < kPieces; ++piece) {
      const int z = threadIdx.x % kWarp + piece * kWarp;
      value[piece] = z < Z ? image.bias_Z[z] : 0.0f;
    }
  }
};

// out += sign ((1 - r) h + r (sum + bias)), sign 1 or -1.
template <typename S>
__device__ void AddContribution(const S& shared, float r, const Bias<S::kPieces>& bias,
                                const Sums<S>& sum, float sign, Pixels<S>* out) {
#pragma unroll
  for (int piece = 0; piece < S::kPieces; ++piece) {
    const int z = threadIdx.x % kWarp + piece * kWarp;
#pragma unroll
    for (int i = 0; i < S::kPixels; ++i) {
      const float h = shared.h[WarpRow() + 1][WarpColumn<S>() + i + 1][z];
      const float convolved = __fmul_rn(r, __fadd_rn(sum[piece][i], bias.value[piece]));
      const float contribution = __fmul_rn(sign, __fmaf_rn(1 - r, h, convolved));
      out->value[piece][i] = __fadd_rn(out->value[piece][i], contribution);
    }
  }
}

template <int kPieces, int kPixels>
__global__ void __launch_bounds__(kWarps* kWarp)
    LayTile(const __grid_constant__ ContributionWeights weights,
            const __grid_constant__ Grids grids, const TokenMapJob* jobs, const int32_t* tokens_L,
            int64_t L, LayMode mode, float* out_PPZ) {
  using S = Shared<kPieces, kPixels>;
  __shared__ S shared;
  const int Z = weights.Z;
  const Image image = ImageOfBlock<S::kColumns>(weights, grids, jobs, tokens_L, L, out_PPZ);
  const bool enlarged = image.p != image.P;
  StageWeights(image.phi_Z9Z, Z, 0, &shared);
  const Bias<kPieces> bias(image, Z);
  Inputs inputs = {};
  if (enlarged) inputs = StageTables(image, &shared);
  AwaitPredecessor();
  if (enlarged) {
    StageTokens(image, inputs, &shared);
    __syncthreads();
    Enlarge(image, weights.codebook_VZ, Z, inputs.columns.first, &shared);
  } else {
    LookUp(image, weights.codebook_VZ, Z, &shared);
  }
  // What lies in the output arrives during the convolution.
  Pixels<S> out;
  if (mode != LayMode::kWrite) {
    out.ForEach(image, Z, [](float* value, const float* from) { *value = *from; });
  }
  Sums<S> sum = {};
  Convolve(image, Z, &shared, sum);
  const float sign = mode == LayMode::kSubtract ? -1.0f : 1.0f;
  AddContribution(shared, weights.quant_resi, bias, sum, sign, &out);
  out.ForEach(image, Z, [](const float* value, float* to) { *to = *value; });
}

// Tiles of an image, `columns` wide.
int64_t TilesOf(int64_t P, int columns) {
  return ((P + columns - 1) / columns) * ((P + kTileRows - 1) / kTileRows);
}

}  // namespace

cudaError_t LayTokens(const ContributionWeights& weights, const Grids& grids,
                      const TokenMapJob* jobs, int count, const int32_t* tokens_L, int64_t L,
                      LayMode mode, float* out_PPZ, cudaStream_t stream) {
  if (count == 0) return cudaSuccess;
  const int64_t P = grids.last;
  if (count < 0 || weights.Z <= 0 || weights.Z > 64 || grids.scales <= 0 ||
      grids.scales > Grids::kMaxScales || P <= 0 || P > 4096) {
    return cudaErrorInvalidValue;
  }
  const bool wide = weights.Z > kWarp;
  using Many = Shared<1, kManyPixels>;
  using Few = Shared<1, kFewPixels>;
  const bool few = count * TilesOf(P, Many::kColumns) <= kFewTiles;
  const int64_t tiles = TilesOf(P, few ? Few::kColumns : Many::kColumns);
  if (count * tiles > INT32_MAX) return cudaErrorInvalidValue;
  const auto lay = few ? (wide ? LayTile<2, kFewPixels> : LayTile<1, kFewPixels>)
                       : (wide ? LayTile<2, kManyPixels> : LayTile<1, kManyPixels>);
  return LaunchDependent(lay, static_cast<unsigned>(count * tiles), kWarps * kWarp, 0, stream,
                         weights, grids, jobs, tokens_L, L, mode, out_PPZ);
}

}  // namespace hmar::kernels
