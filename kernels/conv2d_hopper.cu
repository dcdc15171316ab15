// The host's side of the Hopper convolution: which tile, the tensor maps, the launch.

#include "kernels/conv2d_hopper.cuh"

#include <cudaTypedefs.h>

#include <algorithm>

#include "kernels/conv2d_internal.h"
#include "kernels/dependent_launch.cuh"

namespace hmar::kernels {
namespace {

// By the driver's own entry point, so that the program starts where there is no driver.
PFN_cuTensorMapEncodeTiled_v12000 FindEncode() {
  void* function = nullptr;
  cudaDriverEntryPointQueryResult found;
  const cudaError_t e = cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &function, 12000,
                                                         cudaEnableDefault, &found);
  if (e != cudaSuccess || found != cudaDriverEntryPointSuccess) return nullptr;
  return reinterpret_cast<PFN_cuTensorMapEncodeTiled_v12000>(function);
}

PFN_cuTensorMapEncodeTiled_v12000 Encode() {
  static const PFN_cuTensorMapEncodeTiled_v12000 encode = FindEncode();
  return encode;
}

// A bf16 tensor, innermost dimension first, and the box that one copy takes of it: of each
// dimension every `steps`-th element.
template <int kRank>
cudaError_t EncodeMap(const void* data, const cuuint64_t (&sizes)[kRank],
                      const cuuint32_t (&elements)[kRank], const cuuint32_t (&steps)[kRank],
                      CUtensorMap* map) {
  cuuint64_t strides[kRank - 1];  // Bytes.
  cuuint32_t box[kRank];          // What the elements span.
  for (int i = 0; i < kRank; ++i) box[i] = elements[i] * steps[i];
  strides[0] = sizes[0] * 2;
  for (int i = 1; i < kRank - 1; ++i) strides[i] = strides[i - 1] * sizes[i];
  const CUresult result =
      Encode()(map, CU_TENSOR_MAP_DATA_TYPE_BFLOAT16, kRank, const_cast<void*>(data), sizes,
               strides, box, steps, CU_TENSOR_MAP_INTERLEAVE_NONE, CU_TENSOR_MAP_SWIZZLE_128B,
               CU_TENSOR_MAP_L2_PROMOTION_L2_256B, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
  return result == CUDA_SUCCESS ? cudaSuccess : cudaErrorInvalidValue;
}

struct TileSize {
  int N, M, consumers;
  // Time of a tile over its share of the tensor cores' time: smaller tiles wait for more copies.
  double cost;
};

constexpr TileSize SizeOf(HopperTile tile) {
  switch (tile) {
    case HopperTile::k256x160:
      return {160, 2, 2, 1.0};
    case HopperTile::k128x160:
      return {160, 1, 2, 1.2};
    case HopperTile::k128x80:
      return {80, 1, 2, 1.4};
    case HopperTile::k128x40:
      return {40, 1, 2, 2.0};
    case HopperTile::k64x40:
      return {40, 1, 1, 2.5};
    case HopperTile::k256x64:
      return {64, 2, 2, 1.0};
    case HopperTile::k128x64:
      return {64, 1, 2, 1.2};
    case HopperTile::k256x8:
      return {8, 2, 2, 1.0};
  }
  return {};
}

// Whether tiles of N channels hold whole groups.
bool TakesPartials(const Conv2dArgs& a, int N) {
  return a.partials != nullptr && N % (a.O / kGroups) == 0;
}

HopperPlan MakePlan(const Conv2dArgs& a, TileSize size) {
  const ConvTaps taps = TapsOf(a.kind);
  const ConvGrid grid = GridOf(a);
  HopperPlan plan = {.H = grid.H,
                     .W = grid.W,
                     .I = a.I,
                     .O = a.O,
                     .side = taps.side,
                     .phases = taps.phases,
                     .scale = taps.scale,
                     .origin = taps.origin,
                     .stride = taps.stride,
                     .boxes = taps.stride == 1 ? taps.side : taps.side * taps.side,
                     .box_taps = taps.stride == 1 ? taps.side : 1,
                     .tiles_x = CeilDiv(grid.W, kRowPixels),
                     .tiles_y = CeilDiv(grid.H, 4 * size.M * size.consumers),
                     .tiles_n = CeilDiv(a.O, size.N),
                     .tiles = 0,
                     .epilogue = {.bias_O = a.bias_O,
                                  .residual = a.residual_BHWO,
                                  .out = a.out_BHWO,
                                  .out_fp32 = a.out_fp32_BHWO,
                                  .partials = nullptr,
                                  .group_width = GroupWidth(a.O),
                                  .tile_groups = 0}};
  if (TakesPartials(a, size.N)) {
    plan.epilogue.partials = a.partials;
    plan.epilogue.tile_groups = size.N / plan.epilogue.group_width.channels;
  }
  const int64_t tiles = int64_t{a.B} * plan.tiles_y * plan.tiles_x * plan.phases * plan.tiles_n;
  plan.tiles = tiles < (int64_t{1} << 30) ? static_cast<int>(tiles) : 0;
  return plan;
}

template <typename Tile>
cudaError_t Launch(const Conv2dArgs& a, int multiprocessors, cudaStream_t stream) {
  constexpr int N = Tile::N;
  if (a.out_fp32_BHWO != nullptr && N != kFp32Channels) return cudaErrorInvalidValue;
  const HopperPlan plan = MakePlan(a, {N, Tile::M, Tile::kConsumers, 1.0});
  if (plan.tiles == 0) return cudaErrorInvalidValue;
  using u64 = cuuint64_t;
  const u64 I = a.I, matrices = plan.phases * plan.side * plan.side;
  const auto stride = static_cast<cuuint32_t>(plan.stride);
  CUtensorMap pixels, weights;
  cudaError_t e =
      EncodeMap<4>(a.x_BHWI, {I, u64(a.W), u64(a.H), u64(a.B)},
                   {kBlockChannels, kRowPixels, cuuint32_t(Tile::kRows + plan.box_taps - 1), 1},
                   {1, stride, stride, 1}, &pixels);
  if (e != cudaSuccess) return e;
  e = EncodeMap<3>(a.weight, {I, u64(a.O), matrices}, {kBlockChannels, N, 1}, {1, 1, 1}, &weights);
  if (e != cudaSuccess) return e;
  constexpr int kBytes = sizeof(SharedStorage<Tile>) + 1024;  // To align it by hand.
  static_assert(kBytes <= kSharedBytes);
  e = cudaFuncSetAttribute(HopperConvKernel<Tile>, cudaFuncAttributeMaxDynamicSharedMemorySize,
                           kBytes);
  if (e != cudaSuccess) return e;
  const int blocks = std::min(plan.tiles, multiprocessors);
  e = LaunchDependent(HopperConvKernel<Tile>, blocks, Tile::kThreads, kBytes, stream, pixels,
                      weights, plan);
  if (e != cudaSuccess || a.partials == nullptr || TakesPartials(a, N)) return e;
  return Conv2dPartials(a, stream);
}

}  // namespace

bool HopperAvailable() {
  int device = 0, major = 0, minor = 0;
  if (cudaGetDevice(&device) != cudaSuccess) return false;
  cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device);
  cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, device);
  return major == 9 && minor == 0 && Encode() != nullptr;
}

// The tile whose waves over the multiprocessors take least time.
HopperTile ChooseHopperTile(const Conv2dArgs& args, int multiprocessors) {
  if (args.O <= 8 || args.out_fp32_BHWO != nullptr) return HopperTile::k256x8;
  constexpr HopperTile kWide[] = {HopperTile::k256x160, HopperTile::k128x160, HopperTile::k128x80,
                                  HopperTile::k128x40, HopperTile::k64x40};
  constexpr HopperTile kNarrow[] = {HopperTile::k256x64, HopperTile::k128x64};
  HopperTile best = HopperTile::k256x64;
  double best_time = 0;
  const auto consider = [&](HopperTile tile) {
    const TileSize size = SizeOf(tile);
    const int waves = CeilDiv(MakePlan(args, size).tiles, multiprocessors);
    const double time = waves * size.cost * size.N * size.M * size.consumers / 2;
    if (best_time == 0 || time < best_time) best = tile, best_time = time;
  };
  if (args.O % 160 == 0) {
    for (const HopperTile tile : kWide) consider(tile);
  } else {
    for (const HopperTile tile : kNarrow) consider(tile);
  }
  return best;
}

cudaError_t Conv2dHopper(const Conv2dArgs& args, HopperTile tile, cudaStream_t stream) {
  int device = 0, multiprocessors = 0;
  if (const cudaError_t e = cudaGetDevice(&device); e != cudaSuccess) return e;
  cudaError_t e = cudaDeviceGetAttribute(&multiprocessors, cudaDevAttrMultiProcessorCount, device);
  if (e != cudaSuccess) return e;
  switch (tile) {
    case HopperTile::k256x160:
      return Launch<TileShape<160, 2, 2>>(args, multiprocessors, stream);
    case HopperTile::k128x160:
      return Launch<TileShape<160, 1, 2>>(args, multiprocessors, stream);
    case HopperTile::k128x80:
      return Launch<TileShape<80, 1, 2>>(args, multiprocessors, stream);
    case HopperTile::k128x40:
      return Launch<TileShape<40, 1, 2>>(args, multiprocessors, stream);
    case HopperTile::k64x40:
      return Launch<TileShape<40, 1, 1>>(args, multiprocessors, stream);
    case HopperTile::k256x64:
      return Launch<TileShape<64, 2, 2>>(args, multiprocessors, stream);
    case HopperTile::k128x64:
      return Launch<TileShape<64, 1, 2>>(args, multiprocessors, stream);
    case HopperTile::k256x8:
      return Launch<TileShape<8, 2, 2>>(args, multiprocessors, stream);
  }
  return cudaErrorInvalidValue;
}

}  // namespace hmar::kernels
