#include "kernels/f_hat.h"

#include <cuda_pipeline_primitives.h>

#include "kernels/dependent_launch.cuh"
#include "kernels/f_hat_enlarge.cuh"

// A block makes a tile of 2 x 16 output pixels of one image. It loads phi's weights while it
// enlarges the tile's h, one pixel beyond it on each side, into shared memory. A lane is a channel.
// In the convolution a warp has 8 pixels of a row: an h value, the same for all lanes, serves 3
// taps and a weight 8 pixels. Fewer pixels a warp would make it wait for shared memory; larger
// tiles would leave SMs without work where a step has few images.

namespace hmar::kernels {
namespace {

// Starts the copy of the weights of input channels [first, first + kStage); zeros beyond Z, where h
// is zero too. Output channels beyond Z stay undefined: nobody stores what they give.
template <int kPieces>
__device__ void StageWeights(const float* phi_Z9Z, int Z, int first, Shared<kPieces>* shared) {
  using S = Shared<kPieces>;
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

// Adds to the warp's sums the taps of the kernel's row dy for input channels [z, z + 4), whose
// weights start at phi[stage_z].
template <int kPieces>
__device__ void AddTaps(const Shared<kPieces>& shared, int row, int column, int dy, int z,
                        int stage_z, float (&sum)[kPieces][kWarpPixels]) {
  const int lane = threadIdx.x % kWarp;
  float h[kWarpPixels + 2][4];
#pragma unroll
  for (int i = 0; i < kWarpPixels + 2; ++i) {
    const float4 four = *reinterpret_cast<const float4*>(&shared.h[row + dy][column + i][z]);
    h[i][0] = four.x, h[i][1] = four.y, h[i][2] = four.z, h[i][3] = four.w;
  }
#pragma unroll
  for (int j = 0; j < 4; ++j) {
#pragma unroll
    for (int dx = 0; dx < 3; ++dx) {
#pragma unroll
      for (int piece = 0; piece < kPieces; ++piece) {
        const float w = shared.phi[stage_z + j][dy * 3 + dx][piece * kWarp + lane];
#pragma unroll
        for (int i = 0; i < kWarpPixels; ++i) sum[piece][i] += h[i + dx][j] * w;
      }
    }
  }
}

// Where the warp's pixels lie in the tile.
__device__ int WarpRow() { return threadIdx.x / kWarp / (kTileColumns / kWarpPixels); }
__device__ int WarpColumn() {
  return threadIdx.x / kWarp % (kTileColumns / kWarpPixels) * kWarpPixels;
}

// The convolution at the warp's pixels.
template <int kPieces>
__device__ void Convolve(const Image& image, int Z, Shared<kPieces>* shared,
                         float (&sum)[kPieces][kWarpPixels]) {
  using S = Shared<kPieces>;
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
        AddTaps(*shared, WarpRow(), WarpColumn(), dy, z, z - first, sum);
      }
    }
  }
}

// The warp's pixels of the output, before (0 where they are to be overwritten) or after.
template <int kPieces>
struct Pixels {
  float value[kPieces][kWarpPixels] = {};

  // Calls visit(value, the address that it has in the output), where there is one.
  template <typename Visitor>
  __device__ void ForEach(const Image& image, int Z, const Visitor& visit) {
    const int y = image.y0 + WarpRow(), x = image.x0 + WarpColumn();
    float* row = image.out_PPZ + (y * image.P + x) * Z;
#pragma unroll
    for (int piece = 0; piece < kPieces; ++piece) {
      const int z = threadIdx.x % kWarp + piece * kWarp;
#pragma unroll
      for (int i = 0; i < kWarpPixels; ++i) {
        if (z < Z && y < image.P && x + i < image.P) visit(&value[piece][i], row + i * Z + z);
      }
    }
  }
};

// out += (1 - r) h + r (sum + bias).
template <int kPieces>
__device__ void AddContribution(const Image& image, const Shared<kPieces>& shared, int Z, float r,
                                const float (&sum)[kPieces][kWarpPixels], Pixels<kPieces>* out) {
#pragma unroll
  for (int piece = 0; piece < kPieces; ++piece) {
    const int z = threadIdx.x % kWarp + piece * kWarp;
    const float bias = z < Z ? image.bias_Z[z] : 0.0f;
#pragma unroll
    for (int i = 0; i < kWarpPixels; ++i) {
      const float h = shared.h[WarpRow() + 1][WarpColumn() + i + 1][z];
      out->value[piece][i] += (1 - r) * h + r * (sum[piece][i] + bias);
    }
  }
}

template <int kPieces>
__global__ void __launch_bounds__(kWarps* kWarp)
    LayTile(const __grid_constant__ ContributionWeights weights,
            const __grid_constant__ Grids grids, const TokenMapJob* jobs, const int32_t* tokens_L,
            int64_t L, LayMode mode, float* out_PPZ) {
  __shared__ Shared<kPieces> shared;
  const int Z = weights.Z;
  const Image image = ImageOfBlock(weights, grids, jobs, tokens_L, L, out_PPZ);
  StageWeights(image.phi_Z9Z, Z, 0, &shared);
  AwaitPredecessor();
  if (image.p == image.P) {
    LookUp(image, weights.codebook_VZ, Z, &shared);
  } else {
    Enlarge(image, weights.codebook_VZ, Z, &shared);
  }
  // What lies in the output arrives during the convolution.
  Pixels<kPieces> out;
  if (mode == LayMode::kAdd) {
    out.ForEach(image, Z, [](float* value, const float* from) { *value = *from; });
  }
  float sum[kPieces][kWarpPixels] = {};
  Convolve(image, Z, &shared, sum);
  AddContribution(image, shared, Z, weights.quant_resi, sum, &out);
  out.ForEach(image, Z, [](const float* value, float* to) { *to = *value; });
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
  const int64_t tiles = ((P + kTileColumns - 1) / kTileColumns) * ((P + kTileRows - 1) / kTileRows);
  if (count * tiles > INT32_MAX) return cudaErrorInvalidValue;
  const auto lay = weights.Z <= kWarp ? LayTile<1> : LayTile<2>;
  return LaunchDependent(lay, static_cast<unsigned>(count * tiles), kWarps * kWarp, 0, stream,
                         weights, grids, jobs, tokens_L, L, mode, out_PPZ);
}

}  // namespace hmar::kernels
