// NearestTokens against ATen in fp64.

#include "kernels/quantize.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/_adaptive_avg_pool2d.h>
#include <ATen/ops/from_blob.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "tests/kernels/device_array.h"
#include "tests/kernels/grids_of.h"

namespace hmar {
namespace {

using kernels::CodebookSearch;
using kernels::Grids;

constexpr int32_t kUntouched = -1;  // DeviceArray's poison.

// A codebook (V, Z) and maps (B, P, P, Z).
struct Case {
  Grids grids;
  int B = 0, V = 0, Z = 0;
  std::vector<float> codebook, maps;

  Case(const std::vector<int>& sides, int B, int V, int Z)
      : grids(GridsOf(sides)), B(B), V(V), Z(Z) {
    std::mt19937 random(static_cast<unsigned>(V + Z + B));
    codebook = Normal(static_cast<size_t>(V) * Z, &random);
    maps = Normal(static_cast<size_t>(B) * map_floats(), &random);
  }

  int L() const { return grids.first[grids.scales - 1] + grids.most_tokens; }
  int64_t map_floats() const { return int64_t{grids.last} * grids.last * Z; }
  int tokens(int scale) const { return grids.side[scale] * grids.side[scale]; }
};

// (B, L), every scale from the same maps.
std::vector<int32_t> Nearest(const Case& c) {
  std::vector<float> transposed(c.codebook.size()), norms(c.V, 0.0f);
  for (int v = 0; v < c.V; ++v) {
    for (int z = 0; z < c.Z; ++z) {
      const float e = c.codebook[static_cast<size_t>(v) * c.Z + z];
      transposed[static_cast<size_t>(z) * c.V + v] = e;
      norms[v] = std::fma(e, e, norms[v]);
    }
  }
  const DeviceArray<float> codebook(transposed), norm(norms), maps(c.maps);
  const DeviceArray<int32_t> tokens(static_cast<size_t>(c.B) * c.L() + 16);
  const CodebookSearch search = {c.V, c.Z, codebook.data(), norm.data()};
  for (int k = 0; k < c.grids.scales; ++k) {
    CheckCuda(kernels::NearestTokens(search, c.grids, k, maps.data(), c.B, tokens.data(), c.L(),
                                     nullptr));
  }
  std::vector<int32_t> all = tokens.Download();
  for (size_t i = all.size() - 16; i < all.size(); ++i) EXPECT_EQ(all[i], kUntouched);
  all.resize(all.size() - 16);
  return all;
}

// z of a scale's tokens, (B, n, Z) in double.
at::Tensor Averages(const Case& c, int scale) {
  const int64_t P = c.grids.last, p = c.grids.side[scale];
  const at::Tensor maps =
      at::from_blob(const_cast<float*>(c.maps.data()), {c.B, P, P, c.Z}, at::kFloat)
          .to(at::kDouble)
          .permute({0, 3, 1, 2})
          .contiguous();
  return at::_adaptive_avg_pool2d(maps, {p, p}).flatten(2).transpose(1, 2).contiguous();
}

// |z - e|^2 in double. fp32 is good to some 2^-22 of |z|^2 + |e|^2: a token is right if no other is
// nearer by more.
void ExpectNearest(const Case& c, const std::vector<int32_t>& tokens) {
  for (int k = 0; k < c.grids.scales; ++k) {
    const at::Tensor averages = Averages(c, k);
    const double* z = averages.data_ptr<double>();
    for (int i = 0; i < c.B * c.tokens(k); ++i, z += c.Z) {
      const int b = i / c.tokens(k), position = i % c.tokens(k);
      const int32_t token = tokens[static_cast<size_t>(b) * c.L() + c.grids.first[k] + position];
      ASSERT_GE(token, 0) << "scale " << k << ", token " << i;
      ASSERT_LT(token, c.V);
      const auto measure = [&](int v, double* size) {
        double distance = 0;
        *size = 0;
        for (int j = 0; j < c.Z; ++j) {
          const double e = c.codebook[static_cast<size_t>(v) * c.Z + j];
          distance += (z[j] - e) * (z[j] - e);
          *size += z[j] * z[j] + e * e;
        }
        return distance;
      };
      double size = 0, other_size = 0;
      const double distance = measure(token, &size);
      for (int v = 0; v < c.V; ++v) {
        const double other = measure(v, &other_size);
        ASSERT_LE(distance, other + std::ldexp(size + other_size, -20))
            << "scale " << k << ", token " << i << ": " << token << ", but " << v << " is nearer";
      }
    }
  }
}

struct Shape {
  const char* name;
  std::vector<int> sides;
  int B, V, Z;
};

class NearestTokensShapes : public testing::TestWithParam<Shape> {
 protected:
  Case MakeCase() const {
    const Shape& shape = GetParam();
    return Case(shape.sides, shape.B, shape.V, shape.Z);
  }
};

TEST_P(NearestTokensShapes, FindsTheNearest) {
  HMAR_SKIP_WITHOUT_GPU();
  const Case c = MakeCase();
  ExpectNearest(c, Nearest(c));
}

TEST_P(NearestTokensShapes, AnImageAloneHasTheSameTokens) {
  HMAR_SKIP_WITHOUT_GPU();
  const Case c = MakeCase();
  const std::vector<int32_t> together = Nearest(c);
  for (const int b : {0, c.B - 1}) {
    Case alone = c;
    alone.B = 1;
    alone.maps.assign(c.maps.begin() + b * c.map_floats(),
                      c.maps.begin() + (b + 1) * c.map_floats());
    const std::vector<int32_t> tokens = Nearest(alone);
    EXPECT_TRUE(std::equal(tokens.begin(), tokens.end(), together.begin() + b * c.L())) << b;
  }
}

INSTANTIATE_TEST_SUITE_P(
    Shapes, NearestTokensShapes,
    testing::Values(Shape{"bundled", {1, 2, 3, 4, 5, 6, 8}, 3, 512, 32},
                    Shape{"d16_256", {1, 2, 3, 4, 5, 6, 8, 10, 13, 16}, 2, 700, 32},
                    Shape{"uneven", {1, 4, 12, 19}, 5, 77, 20},
                    Shape{"large", {1, 3, 33}, 1, 130, 64}, Shape{"one_code", {1, 2}, 2, 1, 8},
                    Shape{"few_channels", {2, 5, 7}, 4, 513, 4}),
    [](const testing::TestParamInfo<Shape>& info) { return std::string(info.param.name); });

TEST(NearestTokens, TheLowestOfEqualsWins) {
  HMAR_SKIP_WITHOUT_GPU();
  Case c({1, 2, 3}, 2, 1500, 32);
  // Every vector three times, in places that other threads, warps and rounds look at.
  for (int v = 0; v < 500; ++v) {
    for (const int copy : {v + 500, v + 1000}) {
      std::copy_n(c.codebook.begin() + v * c.Z, c.Z, c.codebook.begin() + copy * c.Z);
    }
  }
  const std::vector<int32_t> tokens = Nearest(c);
  ExpectNearest(c, tokens);
  for (const int32_t token : tokens) EXPECT_LT(token, 500);
  // Nothing but equals.
  std::fill(c.codebook.begin(), c.codebook.end(), 0.25f);
  EXPECT_EQ(Nearest(c), std::vector<int32_t>(static_cast<size_t>(c.B) * c.L(), 0));
}

TEST(NearestTokens, WhatIsNotANumberGivesAToken) {
  HMAR_SKIP_WITHOUT_GPU();
  Case c({1, 4}, 1, 600, 32);
  c.maps.assign(c.maps.size(), std::numeric_limits<float>::quiet_NaN());
  EXPECT_EQ(Nearest(c), std::vector<int32_t>(c.L(), 0));
}

TEST(NearestTokens, RefusesWhatItCannotDo) {
  const Grids grids = GridsOf({1, 2});
  const auto nearest = [&](int V, int Z, int scale, int B) {
    return kernels::NearestTokens({V, Z, nullptr, nullptr}, grids, scale, nullptr, B, nullptr, 5,
                                  nullptr);
  };
  EXPECT_EQ(nearest(16, 32, 0, 0), cudaSuccess);
  EXPECT_EQ(nearest(0, 32, 0, 1), cudaErrorInvalidValue);
  EXPECT_EQ(nearest(16, 68, 0, 1), cudaErrorInvalidValue);
  EXPECT_EQ(nearest(16, 6, 0, 1), cudaErrorInvalidValue);
  EXPECT_EQ(nearest(16, 32, 2, 1), cudaErrorInvalidValue);
  EXPECT_EQ(nearest(16, 32, -1, 1), cudaErrorInvalidValue);
  EXPECT_EQ(nearest(16, 32, 0, -1), cudaErrorInvalidValue);
}

}  // namespace
}  // namespace hmar
