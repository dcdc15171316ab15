// NormModulate and GateNormModulate against the bytes they must move.

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <vector>

#include "kernels/row_norm.h"
#include "tests/kernels/gpu_timer.h"

namespace hmar {
namespace {

using kernels::ClassVectors;
using kernels::NormModulation;
using Bf16 = __nv_bfloat16;

constexpr double kCopyBytesPerUs = 4.2e6;
constexpr int kClasses = 64, kVectors = 6;
constexpr int kTokens = 170;  // Of one class in a row.
constexpr int64_t kRotatedBytes = 160 << 20;

std::vector<Bf16> Random(int64_t count) {
  std::mt19937 random(1);
  std::normal_distribution<float> normal;
  std::vector<Bf16> values(count);
  for (Bf16& v : values) v = __float2bfloat16(normal(random));
  return values;
}

// Inputs of T rows, copied often enough that a round over the copies leaves nothing in L2.
struct Rows {
  Rows(int64_t T, int C)
      : T(T),
        C(C),
        copies(static_cast<int>(kRotatedBytes / (T * C * 2) + 1)),
        values(Random(T * C)),
        vector_values(Random(int64_t{kClasses} * kVectors * C)),
        x(copies * T * C),
        branch(copies * T * C),
        out(copies * T * C),
        vectors(vector_values),
        class_of_row(ClassOfRow(T)) {
    for (int i = 0; i < copies; ++i) {
      for (Bf16* target : {x.data(), branch.data()}) {
        CheckCuda(cudaMemcpy(target + i * T * C, values.data(), T * C * 2, cudaMemcpyDefault));
      }
    }
  }

  static std::vector<int32_t> ClassOfRow(int64_t T) {
    std::vector<int32_t> classes(T);
    for (int64_t t = 0; t < T; ++t) classes[t] = static_cast<int32_t>(t / kTokens % kClasses);
    return classes;
  }

  ClassVectors Classes() const {
    return {vectors.data(), int64_t{kVectors} * C, class_of_row.data()};
  }
  NormModulation Modulation() const {
    return {.scale_offset = 2 * C, .shift_offset = 4 * C, .eps = 1e-6f};
  }

  void Norm(int copy, cudaStream_t stream) const {
    const int64_t at = copy * T * C;
    CheckCuda(kernels::NormModulate(x.data() + at, out.data() + at, T, C, Classes(), Modulation(),
                                    stream));
  }
  void GateNorm(int copy, cudaStream_t stream) const {
    const int64_t at = copy * T * C;
    CheckCuda(kernels::GateNormModulate(x.data() + at, branch.data() + at, out.data() + at, T, C,
                                        Classes(), 0, Modulation(), stream));
  }

  int64_t T;
  int C, copies;
  std::vector<Bf16> values, vector_values;
  DeviceArray<Bf16> x, branch, out, vectors;
  DeviceArray<int32_t> class_of_row;
};

// Checks copy 0's output for row t of `x`.
void CheckRow(const Rows& rows, const std::vector<Bf16>& x, const std::vector<Bf16>& out,
              int64_t t) {
  double sum = 0, squares = 0;
  for (int c = 0; c < rows.C; ++c) sum += __bfloat162float(x[t * rows.C + c]);
  const double mean = sum / rows.C;
  for (int c = 0; c < rows.C; ++c) {
    squares += std::pow(__bfloat162float(x[t * rows.C + c]) - mean, 2);
  }
  const double inverse = 1 / std::sqrt(squares / rows.C + 1e-6);
  const Bf16* vectors = &rows.vector_values[t / kTokens % kClasses * kVectors * rows.C];
  for (int c = 0; c < rows.C; ++c) {
    const double normed = (__bfloat162float(x[t * rows.C + c]) - mean) * inverse;
    const double expected = normed * __bfloat162float(vectors[2 * rows.C + c]) +
                            __bfloat162float(vectors[4 * rows.C + c]);
    const double error = std::abs(__bfloat162float(out[t * rows.C + c]) - expected);
    if (!(error <= std::abs(expected) / 256 + 1e-4)) {
      std::fprintf(stderr, "wrong: T %ld C %d row %ld column %d\n", static_cast<long>(rows.T),
                   rows.C, static_cast<long>(t), c);
      std::exit(1);
    }
  }
}

void Check(const Rows& rows) {
  rows.Norm(0, nullptr);
  std::vector<Bf16> out = rows.out.Download();
  for (const int64_t t : {int64_t{0}, rows.T / 2, rows.T - 1}) CheckRow(rows, rows.values, out, t);
  rows.GateNorm(0, nullptr);
  out = rows.out.Download();
  const std::vector<Bf16> x = rows.x.Download();
  for (const int64_t t : {int64_t{0}, rows.T / 2, rows.T - 1}) CheckRow(rows, x, out, t);
}

void Report(const char* name, const Rows& rows, int passes, double us) {
  const double bytes = 2.0 * passes * static_cast<double>(rows.T) * rows.C;
  std::printf("%-17s T %5ld C %4d  %7.2f us  %6.0f GB/s  %3.0f %% of the byte floor\n", name,
              static_cast<long>(rows.T), rows.C, us, bytes / us / 1e3,
              100 * bytes / kCopyBytesPerUs / us);
}

void Bench(int64_t T, int C) {
  const Rows rows(T, C);
  Check(rows);
  int next = 0;
  const auto rotate = [&] { return next = (next + 1) % rows.copies; };
  // A whole number of rounds, so that replays too find each copy cold.
  const int repeats = rows.copies * (20 / rows.copies + 1);
  Report("NormModulate", rows, 2,
         MedianMicroseconds([&](cudaStream_t s) { rows.Norm(rotate(), s); }, repeats));
  Report("GateNormModulate", rows, 4,
         MedianMicroseconds([&](cudaStream_t s) { rows.GateNorm(rotate(), s); }, repeats));
}

}  // namespace
}  // namespace hmar

int main() {
  for (const int64_t T : {10880, 512}) {
    for (const int C : {1024, 1920}) hmar::Bench(T, C);
  }
}
