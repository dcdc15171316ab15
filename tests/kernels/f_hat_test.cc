#include "kernels/f_hat.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/conv2d.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/upsample_bicubic2d.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <random>
#include <utility>
#include <vector>

#include "tests/kernels/device_array.h"
#include "tests/kernels/grids_of.h"

namespace hmar {
namespace {

using kernels::ContributionWeights;
using kernels::Grids;
using kernels::LayMode;
using kernels::TokenMapJob;

constexpr int kSlots = 5;
constexpr int V = 64;
constexpr float kResi = 0.375f;  // Not a half, which would hide exchanged terms.

// Weights of the four inputs around a coordinate that lies t beyond the second of them.
std::vector<double> CubicWeights(double t) {
  constexpr double a = -0.75;
  const auto near = [](double d) { return ((a + 2) * d - (a + 3)) * d * d + 1; };
  const auto far = [](double d) { return ((a * d - 5 * a) * d + 8 * a) * d - 4 * a; };
  return {far(t + 1), near(t), near(1 - t), far(2 - t)};
}

// A tokenizer with random weights, and random tokens and maps of the slots.
struct Model {
  Model(const std::vector<int>& sides, int channels) : grids(GridsOf(sides)), Z(channels) {
    std::mt19937 random(static_cast<unsigned>(Z + grids.last));
    const int K = grids.scales, P = grids.last;
    L = grids.first[K - 1] + grids.most_tokens;
    codebook_VZ = Normal(static_cast<size_t>(V) * Z, &random);
    phi_KZ9Z = Normal(static_cast<size_t>(K) * Z * 9 * Z, &random, 0.1f);
    bias_KZ = Normal(static_cast<size_t>(K) * Z, &random);
    for (int i = 0; i < kSlots * L; ++i) tokens.push_back(static_cast<int32_t>(random() % V));
    for (int i = 0; i < kSlots * L; i += 7) tokens[i] = i % 2 == 0 ? 0 : V - 1;
    maps = Normal(static_cast<size_t>(kSlots) * P * P * Z, &random);
    for (int k = 0; k < K; ++k) AppendBicubic(k);
  }

  void AppendBicubic(int k) {
    const int p = grids.side[k], P = grids.last;
    for (int i = 0; i < P; ++i) {
      const double at = (i + 0.5) * p / P - 0.5, floor = std::floor(at);
      const std::vector<double> weights = CubicWeights(at - floor);
      for (int j = 0; j < 4; ++j) {
        index_KP4.push_back(std::clamp(static_cast<int>(floor) - 1 + j, 0, p - 1));
        weight_KP4.push_back(static_cast<float>(weights[j]));
      }
    }
  }

  int64_t map_floats() const { return int64_t{grids.last} * grids.last * Z; }

  Grids grids;
  int Z, L;
  std::vector<float> codebook_VZ, phi_KZ9Z, bias_KZ, maps, weight_KP4;
  std::vector<int32_t> tokens, index_KP4;
};

// The slots' maps after the jobs.
std::vector<float> Lay(const Model& m, const std::vector<TokenMapJob>& jobs, LayMode mode) {
  const DeviceArray<float> codebook(m.codebook_VZ), phi(m.phi_KZ9Z), bias(m.bias_KZ),
      weight(m.weight_KP4), maps(m.maps);
  const DeviceArray<int32_t> index(m.index_KP4), tokens(m.tokens);
  const DeviceArray<TokenMapJob> device_jobs(jobs);
  const ContributionWeights weights = {.Z = m.Z,
                                       .quant_resi = kResi,
                                       .codebook_VZ = codebook.data(),
                                       .phi_KZ9Z = phi.data(),
                                       .phi_bias_KZ = bias.data(),
                                       .bicubic_index_KP4 = index.data(),
                                       .bicubic_weight_KP4 = weight.data()};
  CheckCuda(kernels::LayTokens(weights, m.grids, device_jobs.data(), static_cast<int>(jobs.size()),
                               tokens.data(), m.L, mode, maps.data(), nullptr));
  return maps.Download();
}

at::Tensor Doubles(const float* data, at::IntArrayRef sizes) {
  return at::from_blob(const_cast<float*>(data), sizes, at::kFloat).to(at::kDouble);
}

// h of the job's tokens, (1, Z, P, P) in double.
at::Tensor EnlargedTokens(const Model& m, const TokenMapJob& job) {
  const int64_t p = m.grids.side[job.scale], P = m.grids.last;
  std::vector<float> codes;
  const int32_t* token = m.tokens.data() + job.slot * m.L + m.grids.first[job.scale];
  for (int64_t i = 0; i < p * p; ++i) {
    const float* code = m.codebook_VZ.data() + token[i] * m.Z;
    codes.insert(codes.end(), code, code + m.Z);
  }
  const at::Tensor h = Doubles(codes.data(), {1, p, p, m.Z}).permute({0, 3, 1, 2}).contiguous();
  return p == P ? h : at::upsample_bicubic2d(h, {P, P}, /*align_corners=*/false);
}

struct Expected {
  at::Tensor contribution_PPZ;
  double magnitude = 0;  // The largest sum of absolute values that any element is made of.
};

Expected ContributionOf(const Model& m, const TokenMapJob& job) {
  const at::Tensor h = EnlargedTokens(m, job);
  const float* phi = m.phi_KZ9Z.data() + int64_t{job.scale} * m.Z * 9 * m.Z;
  const at::Tensor w =
      Doubles(phi, {m.Z, 3, 3, m.Z}).permute({3, 0, 1, 2}).contiguous();  // (out, in, 3, 3)
  const at::Tensor bias = Doubles(m.bias_KZ.data() + job.scale * m.Z, {m.Z});
  const auto lay = [](const at::Tensor& x, const at::Tensor& v, const at::Tensor& b) {
    const at::Tensor convolved = at::conv2d(x, v, b, /*stride=*/1, /*padding=*/1);
    return x.mul(1 - kResi).add(convolved.mul(kResi))[0].permute({1, 2, 0}).contiguous();
  };
  return {lay(h, w, bias), lay(h.abs(), w.abs(), bias.abs()).max().item<double>()};
}

// fp32 against double: sums of a few hundred terms, rounded at random, come within a few 2^-23 of
// the sum of their absolute values.
void ExpectMap(const Model& m, const TokenMapJob& job, LayMode mode,
               const std::vector<float>& maps) {
  const Expected expected = ContributionOf(m, job);
  const double* contribution = expected.contribution_PPZ.data_ptr<double>();
  const double bound = std::ldexp(expected.magnitude + 5, -21);
  const int64_t first = job.slot * m.map_floats();
  for (int64_t i = 0; i < m.map_floats(); ++i) {
    const double before = mode == LayMode::kWrite ? 0 : m.maps[first + i];
    const double sign = mode == LayMode::kSubtract ? -1 : 1;
    ASSERT_NEAR(maps[first + i], before + sign * contribution[i], bound)
        << "slot " << job.slot << ", scale " << job.scale << ", pixel " << i / m.Z << " of side "
        << m.grids.last << ", channel " << i % m.Z;
  }
}

bool SameMap(const Model& m, int slot, const std::vector<float>& a, const std::vector<float>& b) {
  const int64_t floats = m.map_floats();
  return std::memcmp(a.data() + slot * floats, b.data() + slot * floats, floats * sizeof(float)) ==
         0;
}

// Every scale once, in launches of as many images as there are slots.
void ExpectAllScales(const Model& m, LayMode mode) {
  for (int k = 0; k < m.grids.scales; k += kSlots) {
    std::vector<TokenMapJob> jobs;
    for (int i = 0; i < std::min(kSlots, m.grids.scales - k); ++i) {
      jobs.push_back({.slot = (i + 2) % kSlots, .scale = k + i});
    }
    const std::vector<float> maps = Lay(m, jobs, mode);
    for (const TokenMapJob& job : jobs) ExpectMap(m, job, mode, maps);
  }
}

struct Shape {
  const char* name;
  std::vector<int> sides;
  int Z;
};

class LayTokensShapes : public testing::TestWithParam<Shape> {
 protected:
  const Model model_{GetParam().sides, GetParam().Z};
};

TEST_P(LayTokensShapes, Adds) {
  HMAR_SKIP_WITHOUT_GPU();
  ExpectAllScales(model_, LayMode::kAdd);
}

TEST_P(LayTokensShapes, Subtracts) {
  HMAR_SKIP_WITHOUT_GPU();
  ExpectAllScales(model_, LayMode::kSubtract);
}

TEST_P(LayTokensShapes, Writes) {
  HMAR_SKIP_WITHOUT_GPU();
  ExpectAllScales(model_, LayMode::kWrite);
}

TEST_P(LayTokensShapes, AnImageAloneHasTheSameBytesAndOthersKeepTheirs) {
  HMAR_SKIP_WITHOUT_GPU();
  const int last = model_.grids.scales - 1;
  const std::vector<TokenMapJob> jobs = {{3, last}, {0, 0}, {4, last / 2}, {1, last - 1}};
  const std::vector<float> together = Lay(model_, jobs, LayMode::kAdd);
  EXPECT_TRUE(SameMap(model_, 2, together, model_.maps));
  for (const TokenMapJob& job : jobs) {
    const std::vector<float> alone = Lay(model_, {job}, LayMode::kAdd);
    for (int slot = 0; slot < kSlots; ++slot) {
      const std::vector<float>& expected = slot == job.slot ? together : model_.maps;
      EXPECT_TRUE(SameMap(model_, slot, alone, expected)) << "job " << job.slot << ", " << slot;
    }
  }
}

const std::vector<int> kSides256 = {1, 2, 3, 4, 5, 6, 8, 10, 13, 16};
const std::vector<int> kSides512 = {1, 2, 3, 4, 6, 9, 13, 18, 24, 32};
const std::vector<int> kSidesBundled = {1, 2, 3, 4, 5, 6, 8};

INSTANTIATE_TEST_SUITE_P(
    Shapes, LayTokensShapes,
    testing::Values(Shape{"bundled", kSidesBundled, 32}, Shape{"d16_256", kSides256, 32},
                    Shape{"d24_512", kSides512, 32}, Shape{"large", {3, 48, 63, 64}, 16},
                    Shape{"uneven", {1, 4, 12, 19}, 20}, Shape{"odd_channels", {2, 3, 7}, 7},
                    Shape{"many_channels", {2, 5, 9}, 45}, Shape{"most_channels", {3, 8, 17}, 64}),
    [](const testing::TestParamInfo<Shape>& info) { return std::string(info.param.name); });

TEST(LayTokens, NoJobsAreNoWork) {
  HMAR_SKIP_WITHOUT_GPU();
  EXPECT_EQ(kernels::LayTokens({}, {}, nullptr, 0, nullptr, 0, LayMode::kAdd, nullptr, nullptr),
            cudaSuccess);
}

TEST(LayTokens, RefusesChannelsItCannotHold) {
  HMAR_SKIP_WITHOUT_GPU();
  const Grids grids = GridsOf({1, 2});
  for (const int Z : {-1, 0, 65}) {
    ContributionWeights weights;
    weights.Z = Z;
    EXPECT_EQ(
        kernels::LayTokens(weights, grids, nullptr, 1, nullptr, 0, LayMode::kAdd, nullptr, nullptr),
        cudaErrorInvalidValue)
        << Z;
  }
}

}  // namespace
}  // namespace hmar
