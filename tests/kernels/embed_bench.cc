// EmbedRows against the bytes it must write and the sums it must form.

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <vector>

#include "kernels/embed.h"
#include "tests/kernels/gpu_timer.h"

namespace hmar {
namespace {

using kernels::EmbedState;
using kernels::EmbedWeights;
using kernels::Grids;
using kernels::PassKind;
using kernels::Segment;
using Bf16 = __nv_bfloat16;

constexpr double kCopyBytesPerUs = 4.2e6;
constexpr double kFlopPerUs = 60e6;  // fp32, 132 SMs at some 1.8 GHz.
constexpr int kClasses = 1001, Z = 32, P = 16;

Grids OfficialGrids() {
  Grids grids;
  for (const int p : {1, 2, 3, 4, 5, 6, 8, 10, 13, 16}) {
    const int k = grids.scales++;
    grids.side[k] = p;
    if (k > 0) grids.first[k] = grids.first[k - 1] + grids.side[k - 1] * grids.side[k - 1];
  }
  grids.last = P;
  grids.most_tokens = P * P;
  return grids;
}

// A mix as a running server sees it: `copies` images at every scale, guided, and a mask pass of
// each of the last three, laid out by kind and rising scale.
std::vector<Segment> Mix(const Grids& grids, int copies) {
  std::vector<Segment> segments;
  int32_t row = 0, slot = 0;
  const auto append = [&](int k, PassKind kind, int halves) {
    for (int half = 0; half < halves; ++half) {
      const int32_t n = grids.side[k] * grids.side[k];
      segments.push_back({row, n, k, slot, half == 0 ? slot : kClasses - 1, kind});
      row += n;
    }
    ++slot;
  };
  for (int k = 0; k < grids.scales; ++k) {
    for (int i = 0; i < copies; ++i) append(k, PassKind::kNextScale, 2);
  }
  for (int k = grids.scales - 3; k < grids.scales; ++k) {
    for (int i = 0; i < copies; ++i) append(k, PassKind::kMask, 1);
  }
  return segments;
}

std::vector<float> Random(int64_t count) {
  std::mt19937 random(static_cast<unsigned>(count));
  std::normal_distribution<float> normal;
  std::vector<float> values(count);
  for (float& v : values) v = normal(random);
  return values;
}

struct Problem {
  Problem(int width, int copies)
      : C(width),
        grids(OfficialGrids()),
        segments(Mix(grids, copies)),
        T(segments.back().first_row + segments.back().tokens),
        slots(segments.back().slot + 1),
        word_ZC(Random(int64_t{Z} * C)),
        vector_C(Random(C)),
        position_LC(Random(int64_t{680} * C)),
        maps(Random(int64_t{slots} * P * P * Z)),
        word(word_ZC),
        vector(vector_C),
        position(position_LC),
        classes(Random(int64_t{kClasses} * C)),
        f_hat(maps),
        own(maps),
        open(std::vector<uint8_t>(slots * P * P, 0)),
        device_segments(segments),
        segment_of_row(SegmentOfRow(segments)),
        x(T * C) {}

  static std::vector<int32_t> SegmentOfRow(const std::vector<Segment>& segments) {
    std::vector<int32_t> rows;
    for (size_t s = 0; s < segments.size(); ++s) {
      rows.insert(rows.end(), segments[s].tokens, static_cast<int32_t>(s));
    }
    return rows;
  }

  // The first `rows`.
  void Launch(int64_t rows, cudaStream_t stream) const {
    const EmbedWeights weights = {C,
                                  Z,
                                  word.data(),
                                  vector.data(),
                                  position.data(),
                                  vector.data(),
                                  classes.data(),
                                  vector.data()};
    const EmbedState state = {f_hat.data(), own.data(), open.data()};
    CheckCuda(kernels::EmbedRows(weights, state, grids, device_segments.data(),
                                 segment_of_row.data(), rows, x.data(), stream));
  }

  int C;
  Grids grids;
  std::vector<Segment> segments;
  int64_t T;
  int slots;
  std::vector<float> word_ZC, vector_C, position_LC, maps;
  DeviceArray<float> word, vector, position, classes, f_hat, own;
  DeviceArray<uint8_t> open;
  DeviceArray<Segment> device_segments;
  DeviceArray<int32_t> segment_of_row;
  DeviceArray<Bf16> x;
};

// Word vector of the token at (ty, tx) of a segment.
std::vector<double> WordOf(const Problem& problem, const Segment& s, int ty, int tx) {
  const int p = problem.grids.side[s.scale];
  const int y0 = ty * P / p, y1 = ((ty + 1) * P + p - 1) / p;
  const int x0 = tx * P / p, x1 = ((tx + 1) * P + p - 1) / p;
  std::vector<double> word(Z);
  for (int y = y0; y < y1; ++y) {
    for (int x = x0; x < x1; ++x) {
      const float* cell = &problem.maps[((int64_t{s.slot} * P + y) * P + x) * Z];
      for (int z = 0; z < Z; ++z) word[z] += cell[z] / ((y1 - y0) * (x1 - x0));
    }
  }
  // The bench's own tokens contribute what f_hat holds, and none is open.
  if (s.kind == PassKind::kMask) {
    for (double& z : word) z *= 2;
  }
  return word;
}

void CheckToken(const Problem& problem, const std::vector<Bf16>& x, const Segment& s, int token) {
  const int p = problem.grids.side[s.scale], C = problem.C;
  const std::vector<double> word = WordOf(problem, s, token / p, token % p);
  for (int c = 0; c < C; ++c) {
    double expected = problem.vector_C[c] +
                      problem.position_LC[int64_t{problem.grids.first[s.scale] + token} * C + c];
    for (int z = 0; z < Z; ++z) expected += word[z] * problem.word_ZC[int64_t{z} * C + c];
    const double error =
        std::abs(__bfloat162float(x[(s.first_row + token) * int64_t{C} + c]) - expected);
    if (!(error <= std::abs(expected) / 256 + 1e-4)) {
      std::fprintf(stderr, "wrong: C %d scale %d token %d column %d\n", C, s.scale, token, c);
      std::exit(1);
    }
  }
}

void Check(const Problem& problem, int64_t rows) {
  problem.Launch(rows, nullptr);
  const std::vector<Bf16> x = problem.x.Download();
  for (const Segment& s : problem.segments) {
    if (s.scale == 0) continue;  // Class rows need no arithmetic worth a check here.
    if (s.first_row + s.tokens <= rows) CheckToken(problem, x, s, s.tokens - 1);
  }
}

void Bench(const Problem& problem, int64_t rows) {
  const int C = problem.C;
  Check(problem, rows);
  const double us = MedianMicroseconds([&](cudaStream_t s) { problem.Launch(rows, s); });
  const double elements = static_cast<double>(rows) * C;
  const double floor = std::max(2 * elements / kCopyBytesPerUs, 2 * Z * elements / kFlopPerUs);
  std::printf(
      "EmbedRows  T %5ld C %4d Z %d  %7.2f us  %6.0f GB/s written  %5.1f TFLOP/s  %3.0f %% of the "
      "floor\n",
      static_cast<long>(rows), C, Z, us, 2 * elements / us / 1e3, 2 * Z * elements / us / 1e6,
      100 * floor / us);
}

}  // namespace
}  // namespace hmar

int main() {
  for (const int C : {1024, 1920}) {
    {
      // 1,885 rows a copy: T 11,310.
      const hmar::Problem problem(C, 6);
      hmar::Bench(problem, problem.T);
    }
    // One image of each scale; its first two scales, its first eight.
    const hmar::Problem problem(C, 1);
    for (const int64_t rows : {problem.T, int64_t{10}, int64_t{510}}) hmar::Bench(problem, rows);
  }
}
