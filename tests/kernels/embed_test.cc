#include "kernels/embed.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/_adaptive_avg_pool2d.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/mm.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <random>
#include <vector>

#include "tests/kernels/device_array.h"
#include "tests/kernels/grids_of.h"

namespace hmar {
namespace {

using kernels::EmbedState;
using kernels::EmbedWeights;
using kernels::Grids;
using kernels::PassKind;
using kernels::Segment;
using Bf16 = __nv_bfloat16;

constexpr int kSlots = 3;
constexpr int kNoClass = 4;  // The last row of the class table.

const std::vector<int> kSides256 = {1, 2, 3, 4, 5, 6, 8, 10, 13, 16};
const std::vector<int> kSides512 = {1, 2, 3, 4, 6, 9, 13, 18, 24, 32};

// Random weights and states of a small model.
struct Model {
  Model(const std::vector<int>& sides, int width, int channels)
      : grids(GridsOf(sides)), C(width), Z(channels) {
    std::mt19937 random(static_cast<unsigned>(C + Z));
    const int L = grids.first[grids.scales - 1] + grids.most_tokens;
    const size_t map = static_cast<size_t>(grids.last) * grids.last * Z;
    word_ZC = Normal(static_cast<size_t>(Z) * C, &random);
    bias_C = Normal(C, &random);
    position_LC = Normal(static_cast<size_t>(L) * C, &random);
    mask_C = Normal(C, &random);
    class_NC = Normal(static_cast<size_t>(kNoClass + 1) * C, &random);
    pos_start_C = Normal(C, &random);
    f_hat = Normal(kSlots * map, &random);
    own = Normal(kSlots * map, &random);
    open.resize(static_cast<size_t>(kSlots) * grids.most_tokens);
    for (uint8_t& o : open) o = random() % 3 == 0;
  }

  Grids grids;
  int C, Z;
  std::vector<float> word_ZC, bias_C, position_LC, mask_C, class_NC, pos_start_C, f_hat, own;
  std::vector<uint8_t> open;
};

// Every scale in both kinds of pass; next-scale passes with the guided half behind.
std::vector<Segment> AllSegments(const Grids& grids) {
  std::vector<Segment> segments;
  int32_t row = 0;
  const auto append = [&](int k, int slot, int class_row, PassKind kind) {
    const int32_t tokens = grids.side[k] * grids.side[k];
    segments.push_back({row, tokens, k, slot, class_row, kind});
    row += tokens;
  };
  for (int k = 0; k < grids.scales; ++k) {
    append(k, k % kSlots, k % kNoClass, PassKind::kNextScale);
    append(k, k % kSlots, kNoClass, PassKind::kNextScale);
  }
  for (int k = 0; k < grids.scales; ++k) append(k, (k + 1) % kSlots, 1, PassKind::kMask);
  return segments;
}

int64_t RowsOf(const std::vector<Segment>& segments) {
  return segments.empty() ? 0 : segments.back().first_row + segments.back().tokens;
}

std::vector<Bf16> Embed(const Model& m, const std::vector<Segment>& segments) {
  std::vector<int32_t> segment_of_row;
  for (size_t s = 0; s < segments.size(); ++s) {
    segment_of_row.insert(segment_of_row.end(), segments[s].tokens, static_cast<int32_t>(s));
  }
  const DeviceArray<float> word(m.word_ZC), bias(m.bias_C), position(m.position_LC), mask(m.mask_C),
      classes(m.class_NC), start(m.pos_start_C), f_hat(m.f_hat), own(m.own);
  const DeviceArray<uint8_t> open(m.open);
  const DeviceArray<Segment> device_segments(segments);
  const DeviceArray<int32_t> device_segment_of_row(segment_of_row);
  const int64_t T = RowsOf(segments);
  const DeviceArray<Bf16> x(T * m.C);
  const EmbedWeights weights = {
      m.C,         m.Z, word.data(), bias.data(), position.data(), mask.data(), classes.data(),
      start.data()};
  const EmbedState state = {f_hat.data(), own.data(), open.data()};
  CheckCuda(kernels::EmbedRows(weights, state, m.grids, device_segments.data(),
                               device_segment_of_row.data(), T, x.data(), nullptr));
  return x.Download();
}

// Averages of a slot's map at a scale, (n, Z) in double.
at::Tensor Area(const Model& m, const std::vector<float>& maps, const Segment& segment) {
  const int64_t P = m.grids.last, p = m.grids.side[segment.scale];
  float* map = const_cast<float*>(maps.data()) + segment.slot * P * P * m.Z;
  const at::Tensor map_1ZPP =
      at::from_blob(map, {1, P, P, m.Z}, at::kFloat).to(at::kDouble).permute({0, 3, 1, 2});
  return at::_adaptive_avg_pool2d(map_1ZPP.contiguous(), {p, p}).flatten(2)[0].t();
}

// Rows in double, and the sums of the absolute values that went into each element.
struct Expected {
  std::vector<double> value, magnitude;
};

// What the pass's tokens embed: rows of z, (n, Z).
at::Tensor WordsOf(const Model& m, const Segment& segment) {
  at::Tensor z = Area(m, m.f_hat, segment);
  if (segment.kind == PassKind::kNextScale) return segment.scale > 0 ? z : z.mul(0);
  const at::Tensor own = Area(m, m.own, segment);
  for (int i = 0; i < segment.tokens; ++i) {
    if (!m.open[segment.slot * m.grids.most_tokens + i]) z[i].add_(own[i]);
  }
  return z;
}

Expected ReferenceOf(const Model& m, const Segment& segment) {
  const at::Tensor word =
      at::from_blob(const_cast<float*>(m.word_ZC.data()), {m.Z, m.C}, at::kFloat).to(at::kDouble);
  const at::Tensor z = WordsOf(m, segment);
  const at::Tensor value = at::mm(z, word), magnitude = at::mm(z.abs(), word.abs());
  Expected expected = {
      {value.data_ptr<double>(), value.data_ptr<double>() + value.numel()},
      {magnitude.data_ptr<double>(), magnitude.data_ptr<double>() + value.numel()}};
  const bool starts = segment.kind == PassKind::kNextScale && segment.scale == 0;
  for (int64_t i = 0; i < segment.tokens; ++i) {
    const bool masked =
        segment.kind == PassKind::kMask && m.open[segment.slot * m.grids.most_tokens + i] != 0;
    for (int64_t c = 0; c < m.C; ++c) {
      const double position = m.position_LC[(m.grids.first[segment.scale] + i) * m.C + c];
      const double first = starts ? m.class_NC[segment.class_row * m.C + c] : m.bias_C[c];
      const double second = starts ? m.pos_start_C[c] : masked ? m.mask_C[c] : 0;
      expected.value[i * m.C + c] += first + second + position;
      expected.magnitude[i * m.C + c] += std::abs(first) + std::abs(second) + std::abs(position);
    }
  }
  return expected;
}

// The rounding of the result, and before it fp32 sums of some 40 terms, of which z are averages.
void ExpectSegment(const Model& m, const Segment& segment, const std::vector<Bf16>& x) {
  const Expected expected = ReferenceOf(m, segment);
  for (int64_t i = 0; i < int64_t{segment.tokens} * m.C; ++i) {
    const double bound = 1.001 * std::ldexp(std::abs(expected.value[i]), -8) +
                         std::ldexp(expected.magnitude[i], -19);
    ASSERT_NEAR(__bfloat162float(x[segment.first_row * int64_t{m.C} + i]), expected.value[i], bound)
        << "scale " << segment.scale << ", kind " << static_cast<int>(segment.kind) << ", token "
        << i / m.C << ", column " << i % m.C;
  }
}

std::vector<Bf16> RowsOfSegment(const std::vector<Bf16>& x, const Segment& s, int64_t C) {
  return {x.begin() + s.first_row * C, x.begin() + (s.first_row + s.tokens) * C};
}

bool SameBytes(const std::vector<Bf16>& a, const std::vector<Bf16>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(Bf16)) == 0;
}

struct Shape {
  const char* name;
  std::vector<int> sides;
  int C, Z;
};

class EmbedShapes : public testing::TestWithParam<Shape> {
 protected:
  Model model_{GetParam().sides, GetParam().C, GetParam().Z};
  std::vector<Segment> segments_ = AllSegments(model_.grids);
};

TEST_P(EmbedShapes, EmbedsEveryScaleInBothKinds) {
  HMAR_SKIP_WITHOUT_GPU();
  const std::vector<Bf16> x = Embed(model_, segments_);
  for (const Segment& segment : segments_) ExpectSegment(model_, segment, x);
}

TEST_P(EmbedShapes, GuidedHalvesDifferAtTheFirstScaleAlone) {
  HMAR_SKIP_WITHOUT_GPU();
  const std::vector<Bf16> x = Embed(model_, segments_);
  for (int k = 0; k < model_.grids.scales; ++k) {
    EXPECT_EQ(SameBytes(RowsOfSegment(x, segments_[2 * k], model_.C),
                        RowsOfSegment(x, segments_[2 * k + 1], model_.C)),
              k > 0)
        << k;
  }
}

TEST_P(EmbedShapes, ASegmentAloneHasTheSameBytes) {
  HMAR_SKIP_WITHOUT_GPU();
  const std::vector<Bf16> x = Embed(model_, segments_);
  for (const size_t s : {size_t{0}, size_t{7}, size_t{11}, segments_.size() - 2}) {
    Segment alone = segments_[s];
    alone.first_row = 0;
    EXPECT_TRUE(SameBytes(Embed(model_, {alone}), RowsOfSegment(x, segments_[s], model_.C))) << s;
  }
}

INSTANTIATE_TEST_SUITE_P(
    Shapes, EmbedShapes,
    testing::Values(Shape{"bundled", {1, 2, 3, 4, 5, 6, 8}, 128, 32},
                    Shape{"d16_256", kSides256, 1024, 32}, Shape{"narrow_512", kSides512, 128, 32},
                    Shape{"uneven", kSides256, 392, 20}, Shape{"odd_channels", kSides256, 8, 7},
                    Shape{"most_channels", {1, 3, 5, 7}, 264, 64}),
    [](const testing::TestParamInfo<Shape>& info) { return std::string(info.param.name); });

TEST(EmbedRows, NoRowsAreNoWork) {
  HMAR_SKIP_WITHOUT_GPU();
  EXPECT_EQ(kernels::EmbedRows({}, {}, {}, nullptr, nullptr, 0, nullptr, nullptr), cudaSuccess);
}

TEST(EmbedRows, RefusesShapesItCannotHold) {
  HMAR_SKIP_WITHOUT_GPU();
  const Grids grids = GridsOf({1, 2});
  for (const auto& [C, Z] : {std::pair{12, 32}, {0, 32}, {128, 0}, {128, 65}}) {
    EmbedWeights weights;
    weights.C = C, weights.Z = Z;
    EXPECT_EQ(kernels::EmbedRows(weights, {}, grids, nullptr, nullptr, 1, nullptr, nullptr),
              cudaErrorInvalidValue)
        << C << ", " << Z;
  }
}

}  // namespace
}  // namespace hmar
