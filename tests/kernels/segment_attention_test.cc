#include "kernels/segment_attention.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/softmax.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "tests/kernels/device_array.h"

namespace hmar {
namespace {

using kernels::AttentionTile;
using kernels::kAttentionTileQueries;
using kernels::SegmentAttentionArgs;
using Bf16s = std::vector<__nv_bfloat16>;

constexpr int D = kernels::kAttentionHeadSize;
constexpr int kGapRows = 3;  // NaN, before each segment and after the last.

// q, k and v of one segment, (n, 3, H, D): a function of its length and seed alone.
Bf16s RandomSegment(int tokens, int heads, unsigned seed) {
  std::mt19937 random(seed * 7919 + tokens);
  std::normal_distribution<float> normal;
  std::uniform_int_distribution<int> exponent(-6, 6);
  std::vector<float> values(static_cast<size_t>(tokens) * 3 * heads * D);
  float scale = 1;
  for (size_t i = 0; i < values.size(); ++i) {
    const bool is_v = i / (heads * D) % 3 == 2;
    if (i % D == 0) scale = is_v ? 1 : std::ldexp(1.0f, exponent(random));
    values[i] = scale * normal(random);
  }
  return ToBf16(values);
}

// Sets q (part 0), k or v of one token to zero, in all heads.
void Zero(Bf16s& segment, int heads, int token, int part) {
  const size_t C = static_cast<size_t>(heads) * D;
  std::fill_n(segment.begin() + (3 * token + part) * C, C, __float2bfloat16(0));
}

int Tokens(const Bf16s& segment, int heads) {
  return static_cast<int>(segment.size() / (3 * heads * D));
}

// Segments in one packed matrix, NaN between them.
struct Packed {
  Bf16s qkv;
  std::vector<int> first_row;
  std::vector<AttentionTile> tiles;

  Packed(const std::vector<Bf16s>& segments, int heads) {
    const Bf16s gap(static_cast<size_t>(kGapRows) * 3 * heads * D,
                    __float2bfloat16(std::numeric_limits<float>::quiet_NaN()));
    int row = 0;
    const auto append = [&](const Bf16s& rows) {
      qkv.insert(qkv.end(), rows.begin(), rows.end());
      row += Tokens(rows, heads);
    };
    for (const Bf16s& segment : segments) {
      append(gap);
      first_row.push_back(row);
      const int tokens = Tokens(segment, heads);
      for (int q = 0; q < tokens; q += kAttentionTileQueries) tiles.push_back({row, tokens, q});
      append(segment);
    }
    append(gap);
  }
};

struct Logits {
  std::vector<float> head_scale;  // Empty: plain.
  float plain_scale = 0;
};

// One segment's rows of the output, (n, H, D), each.
std::vector<Bf16s> Attend(const std::vector<Bf16s>& segments, int heads, const Logits& logits,
                          bool shuffle_tiles = false) {
  Packed packed(segments, heads);
  if (shuffle_tiles) std::shuffle(packed.tiles.begin(), packed.tiles.end(), std::mt19937(5));
  const size_t C = static_cast<size_t>(heads) * D;
  const DeviceArray<__nv_bfloat16> qkv(packed.qkv);
  const DeviceArray<AttentionTile> tiles(packed.tiles);
  const DeviceArray<float> scale(logits.head_scale);
  const DeviceArray<__nv_bfloat16> out(packed.qkv.size() / 3);
  CheckCuda(
      kernels::SegmentAttention({.qkv_T3C = qkv.data(),
                                 .out_TC = out.data(),
                                 .tiles = tiles.data(),
                                 .tile_count = static_cast<int>(packed.tiles.size()),
                                 .heads = heads,
                                 .head_scale_H = logits.head_scale.empty() ? nullptr : scale.data(),
                                 .plain_scale = logits.plain_scale},
                                nullptr));
  const Bf16s rows = out.Download();
  std::vector<Bf16s> outs;
  std::vector<bool> ours(rows.size());
  for (size_t i = 0; i < segments.size(); ++i) {
    const size_t begin = packed.first_row[i] * C;
    const size_t count = Tokens(segments[i], heads) * C;
    outs.emplace_back(rows.begin() + begin, rows.begin() + begin + count);
    std::fill_n(ours.begin() + begin, count, true);
  }
  size_t strays = 0;
  for (size_t i = 0; i < rows.size(); ++i) {
    uint16_t bits;
    std::memcpy(&bits, &rows[i], 2);
    strays += !ours[i] && bits != 0xFFFF;
  }
  EXPECT_EQ(strays, 0u) << "elements written outside all segments";
  return outs;
}

struct Reference {
  at::Tensor out;        // (n, H, D)
  at::Tensor magnitude;  // The same with |v| for v.
};

// In double, from the same bf16 inputs.
Reference AttendOnCpu(const Bf16s& segment, int heads, const Logits& logits) {
  std::vector<float> values = ToFloats(segment);
  const int n = Tokens(segment, heads);
  const at::Tensor qkv = at::from_blob(values.data(), {n, 3, heads, D}, at::kFloat)
                             .to(at::kDouble)
                             .permute({1, 2, 0, 3});
  at::Tensor q = qkv.select(0, 0), k = qkv.select(0, 1);  // (H, n, D)
  const at::Tensor v = qkv.select(0, 2);
  if (logits.head_scale.empty()) {
    q = q.mul(logits.plain_scale);
  } else {
    std::vector<float> scale = logits.head_scale;
    q = q.div(q.norm(2, {-1}, true).clamp_min(1e-12));
    k = k.div(k.norm(2, {-1}, true).clamp_min(1e-12));
    q = q.mul(at::from_blob(scale.data(), {heads, 1, 1}, at::kFloat).to(at::kDouble));
  }
  const at::Tensor weights = at::softmax(at::matmul(q, k.transpose(1, 2)), -1);
  const auto gather = [&](const at::Tensor& x) {
    return at::matmul(weights, x).transpose(0, 1).contiguous();
  };
  return {gather(v), gather(v.abs())};
}

// Roundings to bf16 (8 significant bits: half an ulp is at most 2^-8 of the value): of the result,
// and of each weight w, in the sum of w * v and in the sum of w that divides it; so the mean moves
// by the sum of 2^-8 w * (v - mean) at most. What fp32 adds (logits up to 100 of relative error
// 2^-21 or so, the exponential, the sums) is below 2^-12 of the sum of w * |v|.
void ExpectClose(const Bf16s& out, const Reference& reference, const std::string& what) {
  const double* const expected = reference.out.data_ptr<double>();
  const double* const magnitude = reference.magnitude.data_ptr<double>();
  const std::vector<float> actual = ToFloats(out);
  ASSERT_EQ(static_cast<int64_t>(actual.size()), reference.out.numel());
  int failures = 0;
  for (size_t i = 0; i < actual.size() && failures < 3; ++i) {
    const double bound = std::ldexp(std::abs(expected[i]), -7) +
                         (std::ldexp(1, -8) + std::ldexp(1, -12)) * magnitude[i];
    if (std::abs(actual[i] - expected[i]) <= bound) continue;
    ADD_FAILURE() << what << ": element " << i << " is " << actual[i] << ", not " << expected[i]
                  << " to " << bound;
    ++failures;
  }
}

void ExpectMatchesCpu(const std::vector<Bf16s>& segments, int heads, const Logits& logits) {
  const std::vector<Bf16s> outs = Attend(segments, heads, logits, /*shuffle_tiles=*/true);
  for (size_t i = 0; i < segments.size(); ++i) {
    ExpectClose(outs[i], AttendOnCpu(segments[i], heads, logits),
                "segment of " + std::to_string(Tokens(segments[i], heads)) + " tokens");
  }
}

// Temperatures from flat to sharp, one of them negative: a maximum of unscaled products would be a
// minimum there.
Logits Cosine(int heads) {
  Logits logits;
  for (int h = 0; h < heads; ++h) {
    logits.head_scale.push_back(h == 1 ? -6.0f : 4 + 16.0f * h / heads);
  }
  return logits;
}

// RandomSegment's q and k have lengths of about 8 times a power of two from 2^-6 to 2^6, so their
// products spread around 0, by 8 times 2^12 at most; this makes that 8.
Logits Plain() { return {.head_scale = {}, .plain_scale = 1 / 4096.0f}; }

std::vector<Bf16s> Mixed(const std::vector<int>& lengths, int heads) {
  std::vector<Bf16s> segments;
  for (const int n : lengths) segments.push_back(RandomSegment(n, heads, segments.size()));
  std::shuffle(segments.begin(), segments.end(), std::mt19937(11));
  return segments;
}

const std::vector<int> kLengths = {1,  2,  4,  9,  15, 16, 17,  25,  32,  33,  36,  48,
                                   49, 63, 64, 65, 80, 81, 100, 113, 128, 129, 169, 256};

struct HeadsTest : testing::TestWithParam<int> {
  void SetUp() override { HMAR_SKIP_WITHOUT_GPU(); }
};

TEST_P(HeadsTest, CosineMatchesCpu) {
  ExpectMatchesCpu(Mixed(kLengths, GetParam()), GetParam(), Cosine(GetParam()));
}

TEST_P(HeadsTest, PlainMatchesCpu) {
  ExpectMatchesCpu(Mixed(kLengths, GetParam()), GetParam(), Plain());
}

INSTANTIATE_TEST_SUITE_P(SegmentAttention, HeadsTest, testing::Values(1, 3, 16));

struct SegmentAttentionTest : testing::Test {
  void SetUp() override { HMAR_SKIP_WITHOUT_GPU(); }
};

TEST_F(SegmentAttentionTest, LongSegmentsMatchCpu) {
  ExpectMatchesCpu(Mixed({1024, 1, 1000}, 2), 2, Cosine(2));
  ExpectMatchesCpu(Mixed({4096}, 1), 1, Cosine(1));
}

// The largest logit comes last in one row and first in another: later tiles must rescale what was
// gathered, and keep it.
TEST_F(SegmentAttentionTest, MaximumInAnyTile) {
  constexpr int kTokens = 200;
  for (const int key : {0, 63, 64, 150, 199}) {
    Bf16s segment = RandomSegment(kTokens, 1, 3);
    std::copy_n(segment.begin() + 3 * D * 70, D, segment.begin() + 3 * D * key + D);  // k = q_70.
    for (const float scale : {40, 60}) ExpectMatchesCpu({segment}, 1, {.head_scale = {scale}});
  }
}

// On both sides of the scale up to which exponentials are taken without a maximum, and at the
// largest that models have. Keys opposite to their query bring the smallest logits: with two of
// them alone, those are all there is.
TEST_F(SegmentAttentionTest, SharpHeads) {
  const Logits logits = {.head_scale = {40, 40.5, -40, 100}};
  std::vector<Bf16s> segments = Mixed({2, 33, 64, 200}, 4);
  for (Bf16s& segment : segments) {
    const size_t C = 4 * D;
    for (size_t i = 0; i < C; ++i) {  // k_0 = k_1 = -q_0.
      const __nv_bfloat16 opposite = __float2bfloat16(-__bfloat162float(segment[i]));
      segment[C + i] = segment[4 * C + i] = opposite;
    }
  }
  ExpectMatchesCpu(segments, 4, logits);
}

// A zero vector counts as one of length 1e-12: its logits are 0, not NaN.
TEST_F(SegmentAttentionTest, ZeroVectors) {
  for (const int tokens : {1, 17, 100}) {
    std::vector<Bf16s> segments(3, RandomSegment(tokens, 3, 1));
    for (int t = 0; t < tokens; t += 2) Zero(segments[0], 3, t, /*part=*/0);
    for (int t = 0; t < tokens; t += 3) Zero(segments[1], 3, t, /*part=*/1);
    for (int t = 0; t < tokens; ++t) Zero(segments[2], 3, t, t % 2);
    ExpectMatchesCpu(segments, 3, Cosine(3));
    ExpectMatchesCpu(segments, 3, Plain());
  }
}

// Lengths whose squares are near the ends of what fp32 holds, and below 1e-12.
TEST_F(SegmentAttentionTest, TinyAndHugeLengths) {
  Bf16s segment = RandomSegment(40, 1, 2);
  for (int t = 0; t < 40; ++t) {
    const float factor = std::ldexp(1.0f, t % 3 == 0 ? 45 : t % 3 == 1 ? -30 : -46);
    for (int i = 0; i < 2 * D; ++i) {
      __nv_bfloat16& x = segment[3 * D * t + i];
      x = __float2bfloat16(factor * __bfloat162float(x));
    }
  }
  ExpectMatchesCpu({segment}, 1, {.head_scale = {10}});
}

TEST_F(SegmentAttentionTest, SameBytesAloneAmongOthersAndInAnotherOrder) {
  constexpr int kHeads = 3;
  const std::vector<Bf16s> segments = Mixed(kLengths, kHeads);
  const Logits sharp = {.head_scale = {50, 40, 90}, .plain_scale = 0};
  for (const Logits& logits : {Cosine(kHeads), sharp, Plain()}) {
    const std::vector<Bf16s> among = Attend(segments, kHeads, logits);
    const std::vector<Bf16s> shuffled = Attend(segments, kHeads, logits, /*shuffle_tiles=*/true);
    for (size_t i = 0; i < segments.size(); ++i) {
      const Bf16s alone = Attend({segments[i]}, kHeads, logits)[0];
      const size_t bytes = alone.size() * sizeof(alone[0]);
      const int tokens = Tokens(segments[i], kHeads);
      EXPECT_EQ(std::memcmp(alone.data(), among[i].data(), bytes), 0) << tokens << " tokens";
      EXPECT_EQ(std::memcmp(alone.data(), shuffled[i].data(), bytes), 0) << tokens << " tokens";
    }
  }
}

// More tiles than a grid's second dimension takes.
TEST_F(SegmentAttentionTest, ManySegments) {
  const std::vector<Bf16s> segments(70000, RandomSegment(1, 1, 4));
  const std::vector<Bf16s> outs = Attend(segments, 1, Cosine(1));
  const Bf16s v(segments[0].begin() + 2 * D, segments[0].end());  // One key: its weight is 1.
  size_t wrong = 0;
  for (const Bf16s& out : outs) wrong += std::memcmp(out.data(), v.data(), D * 2) != 0;
  EXPECT_EQ(wrong, 0u);
}

TEST(SegmentAttentionArguments, Checked) {
  const auto call = [](auto change) {
    alignas(16) static __nv_bfloat16 memory[2 * D];  // Never read: every call is refused.
    static const AttentionTile tile;
    SegmentAttentionArgs args = {.qkv_T3C = memory,
                                 .out_TC = memory + D,
                                 .tiles = &tile,
                                 .tile_count = 1,
                                 .heads = 1,
                                 .head_scale_H = nullptr,
                                 .plain_scale = 1};
    change(args);
    return kernels::SegmentAttention(args, nullptr);
  };
  EXPECT_EQ(call([](auto& args) { args.tile_count = 0; }), cudaSuccess);
  EXPECT_EQ(call([](auto& args) { args.tile_count = -1; }), cudaErrorInvalidValue);
  EXPECT_EQ(call([](auto& args) { args.heads = 0; }), cudaErrorInvalidValue);
  EXPECT_EQ(call([](auto& args) { args.tiles = nullptr; }), cudaErrorInvalidValue);
  EXPECT_EQ(call([](auto& args) { args.out_TC = nullptr; }), cudaErrorInvalidValue);
  EXPECT_EQ(call([](auto& args) { args.qkv_T3C += 1; }), cudaErrorInvalidValue);
  EXPECT_EQ(call([](auto& args) { args.qkv_T3C = args.out_TC; }), cudaErrorInvalidValue);
}

}  // namespace
}  // namespace hmar
