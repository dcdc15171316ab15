// Segment attention on the packed steps of a server: images at every scale of the 256 px schedule
// at once, and one long segment. Checks sampled rows, then times.

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "kernels/segment_attention.h"
#include "tests/kernels/device_array.h"
#include "tests/kernels/gpu_timer.h"

namespace hmar {
namespace {

using kernels::AttentionTile;
using kernels::kAttentionTileQueries;
using kernels::SegmentAttentionArgs;
using Bf16Array = DeviceArray<__nv_bfloat16>;

constexpr int D = kernels::kAttentionHeadSize;
constexpr double kCopyBytesPerUs = 4.2e6;  // H200, measured.
constexpr double kFlopsPerUs = 790e6;      // Dense bf16.

struct Step {
  std::string name;
  int heads;
  std::vector<int> lengths;  // Of the segments, in the order of their rows.
  bool longest_first;        // The tiles' order.

  int64_t T() const {
    int64_t sum = 0;
    for (const int n : lengths) sum += n;
    return sum;
  }
  int64_t Bytes() const { return T() * 4 * heads * D * 2; }  // qkv once, the result once.
  double Flops() const {
    double pairs = 0;
    for (const int n : lengths) pairs += static_cast<double>(n) * n;
    return pairs * heads * D * 4;
  }
};

// One segment at each side of the schedule 1, 2, ..., 16: 680 rows, `count` times.
std::vector<int> AllScales(int count) {
  std::vector<int> lengths;
  for (int i = 0; i < count; ++i) {
    for (const int side : {1, 2, 3, 4, 5, 6, 8, 10, 13, 16}) lengths.push_back(side * side);
  }
  return lengths;
}

std::vector<AttentionTile> Tiles(const Step& step) {
  std::vector<AttentionTile> tiles;
  int row = 0;
  for (const int n : step.lengths) {
    for (int q = 0; q < n; q += kAttentionTileQueries) tiles.push_back({row, n, q});
    row += n;
  }
  if (step.longest_first) {
    std::stable_sort(tiles.begin(), tiles.end(),
                     [](const auto& a, const auto& b) { return a.tokens > b.tokens; });
  }
  return tiles;
}

std::vector<__nv_bfloat16> Normals(size_t count) {
  std::mt19937 random(1);
  std::normal_distribution<float> normal;
  std::vector<__nv_bfloat16> values(1 << 16);
  for (auto& v : values) v = __float2bfloat16(normal(random));
  values.reserve(count);
  // Repeats, at a period that no row shares: drawing hundreds of millions takes longer than timing.
  for (size_t i = values.size(); i < count; ++i) values.push_back(values[i * 31 % 65521]);
  values.resize(count);
  return values;
}

// Cosine attention of one row and head, in double.
std::vector<double> AttendRow(const std::vector<float>& qkv, int C, int first_row, int tokens,
                              int query, int head, double scale) {
  const auto at = [&](int token, int part) {
    return &qkv[(static_cast<size_t>(first_row + token) * 3 + part) * C + head * D];
  };
  const auto dot = [](const float* a, const float* b) {
    double sum = 0;
    for (int d = 0; d < D; ++d) sum += static_cast<double>(a[d]) * b[d];
    return sum;
  };
  const float* const q = at(query, 0);
  std::vector<double> out(D);
  double weights = 0;
  for (int j = 0; j < tokens; ++j) {
    const float* const k = at(j, 1);
    const double cosine = dot(q, k) / std::sqrt(dot(q, q) * dot(k, k));
    const double weight = std::exp(scale * (cosine - 1));
    weights += weight;
    for (int d = 0; d < D; ++d) out[d] += weight * at(j, 2)[d];
  }
  for (double& x : out) x /= weights;
  return out;
}

// The last row of each of the last segments, in the last head.
bool Check(const Step& step, const Bf16Array& qkv, const Bf16Array& out, float scale) {
  const std::vector<float> in = ToFloats(qkv.Download());
  const std::vector<float> actual = ToFloats(out.Download());
  const int C = step.heads * D;
  int row = static_cast<int>(step.T());
  for (size_t i = step.lengths.size(); i-- > 0 && i + 10 >= step.lengths.size();) {
    const int n = step.lengths[i];
    row -= n;
    const auto expected = AttendRow(in, C, row, n, n - 1, step.heads - 1, scale);
    for (int d = 0; d < D; ++d) {
      const float x = actual[static_cast<size_t>(row + n - 1) * C + (step.heads - 1) * D + d];
      if (std::abs(x - expected[d]) <= 0.02) continue;  // Values are up to about 4: 2^-8 of that.
      std::printf("%s: segment of %d tokens, element %d: %g, not %g\n", step.name.c_str(), n, d, x,
                  expected[d]);
      return false;
    }
  }
  return true;
}

bool Run(const Step& step) {
  const std::vector<float> scales(step.heads, 10.0f);
  const std::vector<AttentionTile> host_tiles = Tiles(step);
  const DeviceArray<float> head_scale(scales);
  const DeviceArray<AttentionTile> tiles(host_tiles);
  const size_t C = static_cast<size_t>(step.heads) * D;
  const auto values = Normals(step.T() * 3 * C);
  // Four times what the L2 holds, so that each launch finds its input cold.
  const size_t buffers = std::clamp<int64_t>(240'000'000 / step.Bytes(), 2, 40);
  std::vector<std::unique_ptr<Bf16Array>> qkv, out;
  for (size_t i = 0; i < buffers; ++i) {
    qkv.push_back(std::make_unique<Bf16Array>(values));
    out.push_back(std::make_unique<Bf16Array>(step.T() * C));
  }
  size_t next = 0;
  const auto launch = [&](cudaStream_t stream) {
    const size_t i = next++ % buffers;
    CheckCuda(kernels::SegmentAttention({.qkv_T3C = qkv[i]->data(),
                                         .out_TC = out[i]->data(),
                                         .tiles = tiles.data(),
                                         .tile_count = static_cast<int>(host_tiles.size()),
                                         .heads = step.heads,
                                         .head_scale_H = head_scale.data(),
                                         .plain_scale = 0},
                                        stream));
  };
  launch(nullptr);
  if (!Check(step, *qkv[0], *out[0], scales[0])) return false;
  const double us = MedianMicroseconds(launch, static_cast<int>(std::max<size_t>(20, buffers)));
  const double floor_us = std::max(step.Bytes() / kCopyBytesPerUs, step.Flops() / kFlopsPerUs);
  std::printf("segment_attention  %-26s T %6lld  H %2d  %7.1f us  %5.0f GB/s  %4.0f TFLOP/s",
              step.name.c_str(), static_cast<long long>(step.T()), step.heads, us,
              step.Bytes() / us / 1e3, step.Flops() / us / 1e6);
  std::printf("  floor %6.1f us, %3.0f %% of it\n", floor_us, 100 * floor_us / us);
  return true;
}

}  // namespace
}  // namespace hmar

int main() {
  using hmar::AllScales;
  const std::vector<hmar::Step> steps = {
      {"all scales, longest first", 16, AllScales(16), true},
      {"all scales, mixed order", 16, AllScales(16), false},
      {"all scales, longest first", 30, AllScales(16), true},
      {"all scales, longest first", 16, AllScales(4), true},
      {"all scales, longest first", 16, AllScales(1), true},
      {"16 x 16 alone", 16, std::vector<int>(40, 256), true},
      {"up to 8 x 8", 16, std::vector<int>(160, 64), true},
      {"one segment", 16, {4096}, true},
      {"one image, 1 x 1", 16, {1, 1}, true},  // With guidance: launch latency.
      {"one image, 8 x 8", 16, {64, 64}, true},
      {"one image, 16 x 16", 16, {256, 256}, true},
  };
  bool right = true;
  for (const hmar::Step& step : steps) right = hmar::Run(step) && right;
  return right ? 0 : 1;
}
