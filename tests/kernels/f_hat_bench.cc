// LayTokens against the multiplications of its convolution and the bytes of its output.

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <vector>

#include "kernels/f_hat.h"
#include "tests/kernels/gpu_timer.h"
#include "tests/kernels/grids_of.h"

namespace hmar {
namespace {

using kernels::ContributionWeights;
using kernels::Grids;
using kernels::LayMode;
using kernels::TokenMapJob;

constexpr double kCopyBytesPerUs = 4.2e6;
constexpr double kFlopPerUs = 60e6;  // fp32, 132 SMs at some 1.8 GHz.
constexpr int Z = 32, V = 4096;

std::vector<float> Random(int64_t count, float deviation) {
  std::mt19937 random(static_cast<unsigned>(count));
  std::normal_distribution<float> normal(0, deviation);
  std::vector<float> values(count);
  for (float& v : values) v = normal(random);
  return values;
}

struct Axis {
  std::vector<int32_t> index;
  std::vector<float> weight;
};

// Bicubic tables of every scale.
Axis Bicubic(const Grids& grids) {
  constexpr double a = -0.75;
  Axis axis;
  for (int k = 0; k < grids.scales; ++k) {
    const int p = grids.side[k], P = grids.last;
    for (int i = 0; i < P; ++i) {
      const double at = (i + 0.5) * p / P - 0.5, floor = std::floor(at);
      for (int j = 0; j < 4; ++j) {
        const double d = std::abs(at - (floor - 1 + j));
        axis.index.push_back(std::clamp(static_cast<int>(floor) - 1 + j, 0, p - 1));
        axis.weight.push_back(static_cast<float>(d <= 1
                                                     ? ((a + 2) * d - (a + 3)) * d * d + 1
                                                     : ((a * d - 5 * a) * d + 8 * a) * d - 4 * a));
      }
    }
  }
  return axis;
}

struct Problem {
  Problem(const std::vector<int>& sides, int images, int at_scale)
      : grids(GridsOf(sides)),
        L(grids.first[grids.scales - 1] + grids.most_tokens),
        count(images),
        scale(at_scale),
        axis(Bicubic(grids)),
        codebook_VZ(Random(int64_t{V} * Z, 1)),
        phi_KZ9Z(Random(int64_t{grids.scales} * Z * 9 * Z, 0.1f)),
        bias_KZ(Random(int64_t{grids.scales} * Z, 1)),
        tokens(Tokens(images * L)),
        codebook(codebook_VZ),
        phi(phi_KZ9Z),
        bias(bias_KZ),
        weight(axis.weight),
        out(std::vector<float>(int64_t{images} * grids.last * grids.last * Z, 0)),
        index(axis.index),
        device_tokens(tokens),
        jobs(Jobs(images, at_scale)) {}

  static std::vector<int32_t> Tokens(int64_t n) {
    std::mt19937 random(5);
    std::vector<int32_t> tokens(n);
    for (int32_t& t : tokens) t = static_cast<int32_t>(random() % V);
    return tokens;
  }
  static std::vector<TokenMapJob> Jobs(int images, int scale) {
    std::vector<TokenMapJob> jobs;
    for (int i = 0; i < images; ++i) jobs.push_back({.slot = i, .scale = scale});
    return jobs;
  }

  void Launch(LayMode mode, cudaStream_t stream) const {
    const ContributionWeights weights = {.Z = Z,
                                         .quant_resi = 0.5f,
                                         .codebook_VZ = codebook.data(),
                                         .phi_KZ9Z = phi.data(),
                                         .phi_bias_KZ = bias.data(),
                                         .bicubic_index_KP4 = index.data(),
                                         .bicubic_weight_KP4 = weight.data()};
    CheckCuda(kernels::LayTokens(weights, grids, jobs.data(), count, device_tokens.data(), L, mode,
                                 out.data(), stream));
  }

  Grids grids;
  int64_t L;
  int count, scale;
  Axis axis;
  std::vector<float> codebook_VZ, phi_KZ9Z, bias_KZ;
  std::vector<int32_t> tokens;
  DeviceArray<float> codebook, phi, bias, weight, out;
  DeviceArray<int32_t> index, device_tokens;
  DeviceArray<TokenMapJob> jobs;
};

// h at a pixel of an image; zero beyond the border.
double Enlarged(const Problem& problem, int image, int y, int x, int z) {
  const int P = problem.grids.last, p = problem.grids.side[problem.scale];
  if (y < 0 || y >= P || x < 0 || x >= P) return 0;
  const int32_t* tokens = &problem.tokens[image * problem.L + problem.grids.first[problem.scale]];
  if (p == P) return problem.codebook_VZ[int64_t{tokens[y * p + x]} * Z + z];
  const int table = problem.scale * P * 4;
  double sum = 0;
  for (int i = 0; i < 16; ++i) {
    const int at_y = table + y * 4 + i / 4, at_x = table + x * 4 + i % 4;
    const int token = tokens[problem.axis.index[at_y] * p + problem.axis.index[at_x]];
    sum += static_cast<double>(problem.axis.weight[at_y]) * problem.axis.weight[at_x] *
           problem.codebook_VZ[int64_t{token} * Z + z];
  }
  return sum;
}

void CheckPixel(const Problem& problem, const std::vector<float>& out, int image, int y, int x) {
  const int P = problem.grids.last;
  const float* phi = &problem.phi_KZ9Z[int64_t{problem.scale} * Z * 9 * Z];
  for (int z = 0; z < Z; ++z) {
    double convolved = problem.bias_KZ[problem.scale * Z + z];
    for (int i = 0; i < Z * 9; ++i) {
      const int dy = i % 9 / 3 - 1, dx = i % 3 - 1;
      convolved += Enlarged(problem, image, y + dy, x + dx, i / 9) * phi[i * Z + z];
    }
    const double expected = 0.5 * Enlarged(problem, image, y, x, z) + 0.5 * convolved;
    const double error = std::abs(out[((int64_t{image} * P + y) * P + x) * Z + z] - expected);
    if (!(error <= 2e-5)) {
      std::fprintf(stderr, "wrong: image %d pixel %d, %d channel %d: off by %g\n", image, y, x, z,
                   error);
      std::exit(1);
    }
  }
}

void Check(const Problem& problem) {
  problem.Launch(LayMode::kWrite, nullptr);
  const std::vector<float> out = problem.out.Download();
  const int last = problem.grids.last - 1;
  CheckPixel(problem, out, 0, 0, 0);
  CheckPixel(problem, out, problem.count / 2, last / 2, last / 2 + 1);
  CheckPixel(problem, out, problem.count - 1, last, last);
}

void Bench(const std::vector<int>& sides, int images, int scale) {
  const Problem problem(sides, images, scale);
  Check(problem);
  const double us = MedianMicroseconds([&](cudaStream_t s) { problem.Launch(LayMode::kAdd, s); });
  const int P = problem.grids.last;
  const double elements = static_cast<double>(images) * P * P * Z;
  const double floor = std::max(8 * elements / kCopyBytesPerUs, 18 * Z * elements / kFlopPerUs);
  std::printf(
      "LayTokens  images %3d P %2d p %2d Z %d  %7.2f us  %5.1f TFLOP/s  %3.0f %% of the floor\n",
      images, P, problem.grids.side[scale], Z, us, 18 * Z * elements / us / 1e6, 100 * floor / us);
}

}  // namespace
}  // namespace hmar

int main() {
  const std::vector<int> sides_256 = {1, 2, 3, 4, 5, 6, 8, 10, 13, 16};
  const std::vector<int> sides_512 = {1, 2, 3, 4, 6, 9, 13, 18, 24, 32};
  for (const int images : {1, 16, 84}) {
    for (const int scale : {5, 9}) hmar::Bench(sides_256, images, scale);
  }
  for (const int scale : {5, 9}) hmar::Bench(sides_512, 16, scale);
}
