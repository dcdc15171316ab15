#ifndef HMAR_MODEL_TORCH_ROW_OPS_H_
#define HMAR_MODEL_TORCH_ROW_OPS_H_

// The elementwise and row-reducing parts of a transformer block, fused: each reads its rows once.
// fp32. A row's result depends on that row alone: sums run in a fixed order. Rows are split over
// ATen's threads.

#include <cstdint>

namespace hmar {

// AdaLN vectors of the rows: row r's lie at by_row[r] + offset, C floats each.
struct RowVectors {
  const float* const* by_row = nullptr;  // (T)
};

// Where a block's AdaLN vectors lie in a class's vectors, in floats.
struct Modulation {
  int64_t scale = 0;  // Holds 1 + scale.
  int64_t shift = 0;
};

// out = LayerNorm(x) * (1 + scale) + shift, without affine weights. x, out: (T, C); may not
// overlap.
void NormModulate(const float* x, float* out, int64_t T, int64_t C, float eps, RowVectors vectors,
                  Modulation mod);

// x += gamma * y, then out = LayerNorm(x) * (1 + scale) + shift. x, y, out: (T, C).
void GateNormModulate(float* x, const float* y, float* out, int64_t T, int64_t C, float eps,
                      RowVectors vectors, int64_t gamma, Modulation mod);

// x += gamma * y. x, y: (T, C).
void Gate(float* x, const float* y, int64_t T, int64_t C, RowVectors vectors, int64_t gamma);

// Cosine attention's preparation, in place: each head's q becomes q / max(|q|, 1e-12) * head_scale,
// its k k / max(|k|, 1e-12). qkv: (T, 3, H, D); head_scale: (H).
void NormalizeQk(float* qkv, int64_t T, int64_t H, int64_t D, const float* head_scale);

// x = GELU(x) in its tanh form, in place. x: n floats.
void Gelu(float* x, int64_t n);

// For each of C channels the sum and the sum of squares over W positions. x: (W, C). On the calling
// thread.
void ChannelSums(const float* x, int64_t W, int64_t C, float* sums, float* squares);

// out = x * scale + shift by channel, then SiLU if `silu`. x, out: (W, C). On the calling thread.
void ScaleShift(const float* x, float* out, int64_t W, int64_t C, const float* scale,
                const float* shift, bool silu);

}  // namespace hmar

#endif  // HMAR_MODEL_TORCH_ROW_OPS_H_
