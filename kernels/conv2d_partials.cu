// The statistics of a convolution's output by themselves, where its kernel does not take them.

#include "kernels/conv2d_partials.cuh"

namespace hmar::kernels {
namespace {

constexpr int kThreads = 32 * kChunkRows;

// The output that one thread block looks at: rows of a phase's pixels.
struct Chunk {
  int b, y, x;  // First pixel, in the coordinates of the phase's grid.
  int phase_y, phase_x;

  __device__ Chunk(const ConvGrid& grid, const ConvTaps& taps, int index) {
    const int chunks_x = (grid.W + kChunkColumns - 1) / kChunkColumns;
    const int chunks_y = (grid.H + kChunkRows - 1) / kChunkRows;
    x = index % chunks_x * kChunkColumns, index /= chunks_x;
    y = index % chunks_y * kChunkRows, index /= chunks_y;
    const int phase = index % taps.phases;
    phase_y = phase / 2, phase_x = phase % 2;
    b = index / taps.phases;
  }
};

// A block a chunk, a warp a row of it.
__global__ void __launch_bounds__(kThreads)
    PartialsKernel(const __grid_constant__ Conv2dArgs args, const ConvTaps taps,
                   const ConvGrid grid, const GroupWidth width) {
  __shared__ alignas(16) Moments channels[kChunkRows][kMaxNormChannels];
  __shared__ Moments groups[kChunkRows][kGroups];
  const Chunk chunk(grid, taps, blockIdx.x);
  const int row = threadIdx.x / 32, lane = threadIdx.x % 32;
  const int rows = min(kChunkRows, grid.H - chunk.y);
  const int pixels = min(kChunkColumns, grid.W - chunk.x);
  if (row < rows) {
    const int64_t out_y = int64_t{chunk.y + row} * taps.scale + chunk.phase_y;
    const int64_t out_x = int64_t{chunk.x} * taps.scale + chunk.phase_x;
    const int64_t image_rows = int64_t{chunk.b} * grid.H * taps.scale;
    const int64_t pixel = (image_rows + out_y) * grid.W * taps.scale + out_x;
    const auto* words = reinterpret_cast<const uint32_t*>(args.out_BHWO + pixel * args.O);
    const int64_t stride = int64_t{args.O} / 2 * taps.scale;
    for (int pair = lane; pair < args.O / 2; pair += 32) {
      *reinterpret_cast<PairMoments*>(&channels[row][2 * pair]) =
          pixels == kChunkColumns ? MomentsOfPair<true>(words + pair, stride, pixels)
                                  : MomentsOfPair<false>(words + pair, stride, pixels);
    }
    __syncwarp();
    groups[row][lane] = MergeChannels(&channels[row][lane * width.channels], width, pixels);
  }
  __syncthreads();
  if (row > 0) return;
  MergeRows(groups, rows, pixels * width.channels,
            args.partials + int64_t{blockIdx.x} * 3 * kGroups);
}

}  // namespace

cudaError_t Conv2dPartials(const Conv2dArgs& args, cudaStream_t stream) {
  const int chunks = args.B * Conv2dChunks(args.kind, args.H, args.W);
  PartialsKernel<<<chunks, kThreads, 0, stream>>>(args, TapsOf(args.kind), GridOf(args),
                                                  GroupWidth(args.O));
  return cudaGetLastError();
}

}  // namespace hmar::kernels
