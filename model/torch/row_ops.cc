#include "model/torch/row_ops.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <bit>
#include <cmath>

// One copy of a function for each vector width, chosen when the program is loaded. Not under
// sanitizers, whose runtimes are not up yet when the choice is made.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && \
    !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define HMAR_VECTORIZED __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define HMAR_VECTORIZED
#endif
#define HMAR_INLINE static inline __attribute__((always_inline))

namespace hmar {
namespace {

// Sums run in this many lanes, whatever the machine's vectors: the order of additions is part of
// the result.
constexpr int64_t kLanes = 16;

// Rows a thread takes at once: enough work to be worth a thread.
int64_t GrainOf(int64_t C) { return std::max<int64_t>(1, 16384 / C); }

HMAR_INLINE float AddLanes(float* lanes) {
  for (int64_t width = kLanes / 2; width > 0; width /= 2) {
    for (int64_t l = 0; l < width; ++l) lanes[l] += lanes[l + width];
  }
  return lanes[0];
}

HMAR_INLINE float Sum(const float* x, int64_t n) {
  float lanes[kLanes] = {};
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    for (int64_t l = 0; l < kLanes; ++l) lanes[l] += x[i + l];
  }
  for (int64_t l = 0; i < n; ++i, ++l) lanes[l] += x[i];
  return AddLanes(lanes);
}

// Sum of (x - mean)^2.
HMAR_INLINE float SumSquares(const float* x, float mean, int64_t n) {
  float lanes[kLanes] = {};
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    for (int64_t l = 0; l < kLanes; ++l) lanes[l] += (x[i + l] - mean) * (x[i + l] - mean);
  }
  for (int64_t l = 0; i < n; ++i, ++l) lanes[l] += (x[i] - mean) * (x[i] - mean);
  return AddLanes(lanes);
}

HMAR_INLINE void NormModulateRow(const float* x, float* out, int64_t C, float eps,
                                 const float* scale, const float* shift) {
  const float mean = Sum(x, C) / static_cast<float>(C);
  const float variance = SumSquares(x, mean, C) / static_cast<float>(C);
  const float inverse = 1.0f / std::sqrt(variance + eps);
  for (int64_t i = 0; i < C; ++i) out[i] = (x[i] - mean) * inverse * scale[i] + shift[i];
}

HMAR_INLINE void GateRow(float* x, const float* y, int64_t C, const float* gamma) {
  for (int64_t i = 0; i < C; ++i) x[i] += gamma[i] * y[i];
}

HMAR_VECTORIZED void NormModulateRows(const float* x, float* out, int64_t begin, int64_t end,
                                      int64_t C, float eps, const float* const* by_row,
                                      Modulation mod) {
  for (int64_t r = begin; r < end; ++r) {
    NormModulateRow(x + r * C, out + r * C, C, eps, by_row[r] + mod.scale, by_row[r] + mod.shift);
  }
}

HMAR_VECTORIZED void GateNormModulateRows(float* x, const float* y, float* out, int64_t begin,
                                          int64_t end, int64_t C, float eps,
                                          const float* const* by_row, int64_t gamma,
                                          Modulation mod) {
  for (int64_t r = begin; r < end; ++r) {
    GateRow(x + r * C, y + r * C, C, by_row[r] + gamma);
    NormModulateRow(x + r * C, out + r * C, C, eps, by_row[r] + mod.scale, by_row[r] + mod.shift);
  }
}

HMAR_VECTORIZED void GateRows(float* x, const float* y, int64_t begin, int64_t end, int64_t C,
                              const float* const* by_row, int64_t gamma) {
  for (int64_t r = begin; r < end; ++r) GateRow(x + r * C, y + r * C, C, by_row[r] + gamma);
}

HMAR_INLINE void NormalizeHead(float* head, int64_t D, float scale) {
  const float length = std::max(std::sqrt(SumSquares(head, 0, D)), 1e-12f);
  for (int64_t i = 0; i < D; ++i) head[i] = head[i] / length * scale;
}

HMAR_VECTORIZED void NormalizeQkRows(float* qkv, int64_t begin, int64_t end, int64_t H, int64_t D,
                                     const float* head_scale) {
  for (int64_t r = begin; r < end; ++r) {
    float* row = qkv + r * 3 * H * D;
    for (int64_t h = 0; h < H; ++h) NormalizeHead(row + h * D, D, head_scale[h]);
    for (int64_t h = H; h < 2 * H; ++h) NormalizeHead(row + h * D, D, 1);
  }
}

// e^x for x in [-87, 87] within 2 units in the last place, in a form that compilers turn into
// vectors: 2^n by the exponent's bits, e^r on [-ln 2 / 2, ln 2 / 2] by its Taylor polynomial.
HMAR_INLINE float Exp(float x) {
  constexpr float kLog2E = 1.44269504f, kLn2High = 0.693359375f, kLn2Low = -2.12194440e-4f;
  constexpr float kRound =
      12582912.0f;  // 1.5 * 2^23: adding it rounds to an integer, which the low bits then hold.
  const float clamped = x < -87.0f ? -87.0f : x > 87.0f ? 87.0f : x;  // NaN stays NaN.
  const float shifted = clamped * kLog2E + kRound;
  const float n = shifted - kRound;
  const float r = clamped - n * kLn2High - n * kLn2Low;
  float p =
      1.0f /
      5040;  // Written out: a loop over coefficients would keep the caller's loop from vectors.
  p = p * r + 1.0f / 720;
  p = p * r + 1.0f / 120;
  p = p * r + 1.0f / 24;
  p = p * r + 1.0f / 6;
  p = p * r + 0.5f;
  p = p * r + 1.0f;
  p = p * r + 1.0f;
  const int32_t power = (std::bit_cast<int32_t>(shifted) << 23) + (127 << 23);
  return p * std::bit_cast<float>(power);
}

HMAR_VECTORIZED void GeluSome(float* x, int64_t begin, int64_t end) {
  constexpr float kTwice = 2 * 0.79788456f;  // 2 sqrt(2 / pi): (1 + tanh u) / 2 = 1 / (1 + e^-2u)
  for (int64_t i = begin; i < end; ++i) {
    x[i] = x[i] / (1 + Exp(-kTwice * (x[i] + 0.044715f * x[i] * x[i] * x[i])));
  }
}

HMAR_VECTORIZED void ChannelSumsRow(const float* x, int64_t W, int64_t C, float* sums,
                                    float* squares) {
  std::fill_n(sums, C, 0.0f);
  std::fill_n(squares, C, 0.0f);
  for (int64_t w = 0; w < W; ++w, x += C) {
    for (int64_t c = 0; c < C; ++c) {
      sums[c] += x[c];
      squares[c] += x[c] * x[c];
    }
  }
}

HMAR_VECTORIZED void ScaleShiftRow(const float* x, float* out, int64_t W, int64_t C,
                                   const float* scale, const float* shift) {
  for (int64_t w = 0; w < W; ++w, x += C, out += C) {
    for (int64_t c = 0; c < C; ++c) out[c] = x[c] * scale[c] + shift[c];
  }
}

HMAR_VECTORIZED void SiluRow(float* x, int64_t n) {
  for (int64_t i = 0; i < n; ++i) x[i] = x[i] / (1 + Exp(-x[i]));
}

}  // namespace

void Gelu(float* x, int64_t n) {
  constexpr int64_t kGrain = 16384;
  at::parallel_for(0, n, kGrain, [&](int64_t begin, int64_t end) { GeluSome(x, begin, end); });
}

void ChannelSums(const float* x, int64_t W, int64_t C, float* sums, float* squares) {
  ChannelSumsRow(x, W, C, sums, squares);
}

void ScaleShift(const float* x, float* out, int64_t W, int64_t C, const float* scale,
                const float* shift, bool silu) {
  ScaleShiftRow(x, out, W, C, scale, shift);
  if (silu) SiluRow(out, W * C);
}

void NormModulate(const float* x, float* out, int64_t T, int64_t C, float eps, RowVectors vectors,
                  Modulation mod) {
  at::parallel_for(0, T, GrainOf(C), [&](int64_t begin, int64_t end) {
    NormModulateRows(x, out, begin, end, C, eps, vectors.by_row, mod);
  });
}

void GateNormModulate(float* x, const float* y, float* out, int64_t T, int64_t C, float eps,
                      RowVectors vectors, int64_t gamma, Modulation mod) {
  at::parallel_for(0, T, GrainOf(C), [&](int64_t begin, int64_t end) {
    GateNormModulateRows(x, y, out, begin, end, C, eps, vectors.by_row, gamma, mod);
  });
}

void Gate(float* x, const float* y, int64_t T, int64_t C, RowVectors vectors, int64_t gamma) {
  at::parallel_for(0, T, GrainOf(C), [&](int64_t begin, int64_t end) {
    GateRows(x, y, begin, end, C, vectors.by_row, gamma);
  });
}

void NormalizeQk(float* qkv, int64_t T, int64_t H, int64_t D, const float* head_scale) {
  at::parallel_for(0, T, GrainOf(2 * H * D), [&](int64_t begin, int64_t end) {
    NormalizeQkRows(qkv, begin, end, H, D, head_scale);
  });
}

}  // namespace hmar
