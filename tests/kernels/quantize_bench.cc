// NearestTokens: every scale of an image, alone and in batches, against the arithmetic of its
// distances. Checks sampled tokens first.

#include "kernels/quantize.h"

#include <cstdio>
#include <cstdlib>
#include <random>
#include <vector>

#include "tests/kernels/gpu_timer.h"
#include "tests/kernels/grids_of.h"

namespace hmar {
namespace {

using kernels::Grids;

constexpr int V = 4096, Z = 32;
constexpr double kFlopPerUs = 60e6;  // fp32 of an H200's CUDA cores.

std::vector<float> NormsOf(const std::vector<float>& codebook_ZV) {
  std::vector<float> norms(V);
  for (int i = 0; i < V * Z; ++i) norms[i % V] += codebook_ZV[i] * codebook_ZV[i];
  return norms;
}

// Random images and a random codebook.
struct Problem {
  Problem(const std::vector<int>& sides, int images, unsigned seed)
      : grids(GridsOf(sides)),
        images(images),
        L(grids.first[grids.scales - 1] + grids.most_tokens),
        random(seed),
        codebook_ZV(Normal(size_t{V} * Z, &random)),
        maps_BPPZ(Normal(size_t(images) * grids.most_tokens * Z, &random)),
        codebook(codebook_ZV),
        norms(NormsOf(codebook_ZV)),
        maps(maps_BPPZ),
        tokens(size_t(images) * L) {}

  void Launch(int scale, cudaStream_t stream) const {
    CheckCuda(kernels::NearestTokens({V, Z, codebook.data(), norms.data()}, grids, scale,
                                     maps.data(), images, tokens.data(), L, stream));
  }

  Grids grids;
  int images, L;
  std::mt19937 random;
  std::vector<float> codebook_ZV, maps_BPPZ;
  DeviceArray<float> codebook, norms, maps;
  DeviceArray<int32_t> tokens;
};

double Distance(const Problem& problem, int64_t cell, int v) {
  double sum = 0;
  for (int z = 0; z < Z; ++z) {
    const double d = double{problem.maps_BPPZ[cell * Z + z]} - problem.codebook_ZV[z * V + v];
    sum += d * d;
  }
  return sum;
}

// Tokens of the last scale, whose averages are the cells themselves.
void Check(const Problem& problem) {
  const int last = problem.grids.scales - 1, n = problem.grids.most_tokens;
  problem.Launch(last, nullptr);
  const std::vector<int32_t> tokens = problem.tokens.Download();
  for (int64_t cell = 0; cell < int64_t{problem.images} * n; cell += n / 3 + 1) {
    const int64_t at = cell / n * problem.L + problem.grids.first[last] + cell % n;
    for (int v = 0; v < V; ++v) {
      if (Distance(problem, cell, tokens[at]) <= Distance(problem, cell, v) + 1e-4) continue;
      std::fprintf(stderr, "cell %lld: %d is nearer than %d\n", static_cast<long long>(cell), v,
                   tokens[at]);
      std::exit(1);
    }
  }
}

void Bench(const std::vector<int>& sides, int images) {
  const Problem problem(sides, images, 1);
  Check(problem);
  double total_us = 0, total_flop = 0;
  for (int k = 0; k < problem.grids.scales; ++k) {
    const int p = problem.grids.side[k];
    const double us = MedianMicroseconds([&](cudaStream_t stream) { problem.Launch(k, stream); });
    const double flop = 2.0 * images * p * p * V * Z;
    total_us += us, total_flop += flop;
    std::printf(
        "NearestTokens  images %2d P %2d p %2d  %7.2f us  %5.1f TFLOP/s  %3.0f %% of %.0f\n",
        images, problem.grids.last, p, us, flop / us / 1e6, 100 * flop / us / kFlopPerUs,
        kFlopPerUs / 1e6);
  }
  std::printf("NearestTokens  images %2d P %2d all   %7.2f us  %5.1f TFLOP/s\n", images,
              problem.grids.last, total_us, total_flop / total_us / 1e6);
}

}  // namespace
}  // namespace hmar

int main() {
  if (!hmar::HasGpu()) {
    std::puts("no CUDA device on this machine");
    return 0;
  }
  for (const int images : {1, 8}) {
    hmar::Bench({1, 2, 3, 4, 5, 6, 8, 10, 13, 16}, images);
    hmar::Bench({1, 2, 3, 4, 6, 9, 13, 18, 24, 32}, images);
  }
}
