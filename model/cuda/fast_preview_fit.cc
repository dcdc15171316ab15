#include "model/cuda/fast_preview_fit.h"

#include <algorithm>
#include <cmath>

namespace hmar {
namespace {

constexpr int kMaxPixels = 4;
// Ridge, as a share of the mean square of an input: small pictures of few colours leave directions
// that nothing pins.
constexpr double kRidge = 1e-3;

// A cell's 3 x 3 neighbourhood, zeros beyond the border, and a constant: 9 Z + 1 inputs.
void Neighbourhood(const std::vector<float>& map_PPZ, int P, int Z, int y, int x, double* inputs) {
  for (int tap = 0; tap < 9; ++tap) {
    const int row = y + tap / 3 - 1, column = x + tap % 3 - 1;
    const bool inside = row >= 0 && row < P && column >= 0 && column < P;
    for (int z = 0; z < Z; ++z) {
      inputs[tap * Z + z] = inside ? map_PPZ[(row * P + column) * Z + z] : 0.0;
    }
  }
  inputs[9 * Z] = 1;
}

// A cell's q x q pixels, each the mean of a square of the picture: channel, row, column.
void Patch(const std::vector<float>& pixels_SS3, int S, int side, int q, int y, int x,
           double* outputs) {
  for (int i = 0; i < 3 * q * q; ++i) {
    const int channel = i / (q * q), top = (y * q + i / q % q) * side,
              left = (x * q + i % q) * side;
    double sum = 0;
    for (int row = top; row < top + side; ++row) {
      for (int column = left; column < left + side; ++column) {
        sum += std::clamp(pixels_SS3[(row * S + column) * 3 + channel], -1.0f, 1.0f);
      }
    }
    outputs[i] = sum / (side * side);
  }
}

// In-place Cholesky factor (lower) of a symmetric positive definite matrix (n, n), then the
// solution of A X = B for B (n, m), in place of B.
void SolveSpd(std::vector<double>* a, int n, std::vector<double>* b, int m) {
  std::vector<double>& A = *a;
  std::vector<double>& B = *b;
  for (int j = 0; j < n; ++j) {
    for (int i = j; i < n; ++i) {
      double sum = A[i * n + j];
      for (int k = 0; k < j; ++k) sum -= A[i * n + k] * A[j * n + k];
      A[i * n + j] = i == j ? std::sqrt(sum) : sum / A[j * n + j];
    }
  }
  for (int i = 0; i < n; ++i) {
    for (int k = 0; k < i; ++k) {
      for (int c = 0; c < m; ++c) B[i * m + c] -= A[i * n + k] * B[k * m + c];
    }
    for (int c = 0; c < m; ++c) B[i * m + c] /= A[i * n + i];
  }
  for (int i = n - 1; i >= 0; --i) {
    for (int k = i + 1; k < n; ++k) {
      for (int c = 0; c < m; ++c) B[i * m + c] -= A[k * n + i] * B[k * m + c];
    }
    for (int c = 0; c < m; ++c) B[i * m + c] /= A[i * n + i];
  }
}

}  // namespace

FastPreviewFit FitFastPreview(absl::Span<const std::vector<float>> maps_PPZ,
                              absl::Span<const std::vector<float>> pixels_SS3, int P, int Z,
                              int S) {
  FastPreviewFit fit;
  fit.q = std::min(kMaxPixels, S / P);
  const int n = 9 * Z + 1, m = 3 * fit.q * fit.q, side = S / (P * fit.q);
  std::vector<double> normal(static_cast<size_t>(n) * n), right(static_cast<size_t>(n) * m);
  std::vector<double> inputs(n), outputs(m);
  for (size_t map = 0; map < maps_PPZ.size(); ++map) {
    for (int cell = 0; cell < P * P; ++cell) {
      Neighbourhood(maps_PPZ[map], P, Z, cell / P, cell % P, inputs.data());
      Patch(pixels_SS3[map], S, side, fit.q, cell / P, cell % P, outputs.data());
      for (int i = 0; i < n; ++i) {
        if (inputs[i] == 0) continue;
        for (int j = 0; j <= i; ++j) normal[i * n + j] += inputs[i] * inputs[j];
        for (int j = 0; j < m; ++j) right[i * m + j] += inputs[i] * outputs[j];
      }
    }
  }
  double trace = 0;
  for (int i = 0; i < n; ++i) trace += normal[i * n + i];
  for (int i = 0; i < n; ++i) normal[i * n + i] += kRidge * trace / n;
  SolveSpd(&normal, n, &right, m);
  fit.weight.assign(right.begin(), right.begin() + static_cast<ptrdiff_t>(9 * Z) * m);
  fit.bias.assign(right.begin() + static_cast<ptrdiff_t>(9 * Z) * m, right.end());
  return fit;
}

}  // namespace hmar
