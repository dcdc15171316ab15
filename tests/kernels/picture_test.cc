#include "kernels/picture.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/from_blob.h>
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

using kernels::FastPreviewArgs;
using Bf16s = std::vector<__nv_bfloat16>;
using Bytes = std::vector<uint8_t>;

std::vector<float> Normals(size_t count, float deviation, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0, deviation);
  std::vector<float> values(count);
  for (float& v : values) v = normal(random);
  return values;
}

bool SameBytes(const Bf16s& a, const Bf16s& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(a[0])) == 0;
}

TEST(GatherFeaturesTest, CopiesSlotsInOrder) {
  HMAR_SKIP_WITHOUT_GPU();
  for (const int64_t floats : {4, 1020, 1024, 4100}) {
    const std::vector<int32_t> slots = {3, 0, 3, 1, 4};
    const std::vector<float> f_hat = Normals(5 * floats, 2, 1);
    std::vector<float> want;
    for (const int32_t slot : slots) {
      want.insert(want.end(), f_hat.begin() + slot * floats, f_hat.begin() + (slot + 1) * floats);
    }
    const DeviceArray<float> from(f_hat);
    const DeviceArray<int32_t> on_device(slots);
    const DeviceArray<__nv_bfloat16> out(want.size());
    CheckCuda(kernels::GatherFeatures(from.data(), on_device.data(), 5, floats, out.data(), {}));
    EXPECT_TRUE(SameBytes(out.Download(), ToBf16(want))) << floats;
  }
}

Bytes RunPictureBytes(const std::vector<float>& x, int C, int64_t pixels) {
  const DeviceArray<float> from(x);
  const DeviceArray<uint8_t> out(3 * pixels);
  CheckCuda(kernels::PictureBytes({from.data(), 1, pixels, C, out.data(), nullptr}, nullptr));
  return out.Download();
}

// model/torch/picture_maker.cc's operators.
Bytes PictureBytesOfAten(std::vector<float> x) {
  const int64_t count = static_cast<int64_t>(x.size());
  const at::Tensor bytes = at::from_blob(x.data(), {count}, at::kFloat)
                               .clamp(-1, 1)
                               .add_(1)
                               .div_(2)
                               .mul_(255)
                               .add_(0.5)
                               .floor_()
                               .to(at::kByte);
  return {bytes.data_ptr<uint8_t>(), bytes.data_ptr<uint8_t>() + count};
}

// Both sides of every border between two bytes, in steps of one float, and beyond the ends.
std::vector<float> HardValues() {
  std::vector<float> values = {-INFINITY, INFINITY, -1, 1, 0, -0.0f, 1e-30f, 1e30f, -3};
  for (int byte = 0; byte < 255; ++byte) {
    float x = static_cast<float>((byte + 0.5) / 127.5 - 1);
    for (int i = 0; i < 6; ++i) x = std::nextafter(x, -2.0f);
    for (int i = 0; i < 12; ++i) values.push_back(x = std::nextafter(x, 2.0f));
  }
  for (float x = -1.1f; x < 1.1f; x += 1e-4f) values.push_back(x);
  values.resize(values.size() / 3 * 3);
  return values;
}

TEST(PictureBytesTest, MatchesAtenToTheByte) {
  HMAR_SKIP_WITHOUT_GPU();
  const std::vector<float> rgb = HardValues();
  const int64_t pixels = static_cast<int64_t>(rgb.size()) / 3;
  const Bytes want = PictureBytesOfAten(rgb);
  for (const int C : {3, 4, 8}) {
    std::vector<float> x(pixels * C, 7.0f);
    for (int64_t i = 0; i < 3 * pixels; ++i) x[i / 3 * C + i % 3] = rgb[i];
    EXPECT_EQ(RunPictureBytes(x, C, pixels), want) << C << " channels";
  }
}

// Every byte at every channel, in counts that end within a block.
TEST(EncoderPixelsTest, AreExactAndPadded) {
  HMAR_SKIP_WITHOUT_GPU();
  for (const int64_t pixels : {1, 255, 257, 1023}) {
    Bytes rgb;
    for (int64_t i = 0; i < 3 * pixels; ++i) rgb.push_back(static_cast<uint8_t>(i * 7 + i / 256));
    const DeviceArray<uint8_t> from(rgb);
    const DeviceArray<__nv_bfloat16> out(8 * pixels + 8);
    CheckCuda(kernels::EncoderPixels(from.data(), pixels, out.data(), nullptr));
    const std::vector<float> values = ToFloats(out.Download());
    for (int64_t i = 0; i < 8 * pixels; ++i) {
      const float want = i % 8 < 3 ? 2.0f * rgb[i / 8 * 3 + i % 8] - 255 : 0;
      ASSERT_EQ(values[i], want) << "pixel " << i / 8 << ", channel " << i % 8;
    }
    for (int i = 0; i < 8; ++i) EXPECT_TRUE(std::isnan(values[8 * pixels + i]));
  }
}

TEST(PictureBytesTest, OddCountsAndNan) {
  HMAR_SKIP_WITHOUT_GPU();
  for (const int64_t pixels : {1, 2, 3, 5, 1365, 1366, 4097}) {
    for (const int C : {3, 5}) {
      const std::vector<float> x = Normals(pixels * C, 0.6f, 5);
      std::vector<float> rgb;
      for (int64_t i = 0; i < 3 * pixels; ++i) rgb.push_back(x[i / 3 * C + i % 3]);
      EXPECT_EQ(RunPictureBytes(x, C, pixels), PictureBytesOfAten(rgb)) << pixels;
    }
  }
  const Bytes bytes = RunPictureBytes({0, NAN, 1, 1, 1, NAN}, 3, 2);
  EXPECT_EQ(bytes[0], 128);
  EXPECT_EQ(bytes[2], 255);
  EXPECT_EQ(bytes[4], 255);
}

// Which of B pictures PictureBytes marks.
std::vector<int32_t> FailedOf(const std::vector<float>& x, int B, int C) {
  const int64_t pixels = static_cast<int64_t>(x.size()) / C / B;
  const DeviceArray<float> from(x);
  const DeviceArray<uint8_t> out(3 * pixels * B);
  const DeviceArray<int32_t> failed(std::vector<int32_t>(B, 0));
  CheckCuda(kernels::PictureBytes({from.data(), B, pixels, C, out.data(), failed.data()}, nullptr));
  EXPECT_EQ(out.Download(), PictureBytesOfAten(x)) << "the bytes are the same";
  return failed.Download();
}

// Pictures of an odd number of bytes, so that words of four bytes lie in two of them.
TEST(PictureBytesTest, MarksThePicturesThatAreNotFinite) {
  HMAR_SKIP_WITHOUT_GPU();
  constexpr int kPictures = 5;
  for (const int64_t values : {3, 3 * 7, 3 * 1365, 3 * 4096}) {
    std::vector<float> x = Normals(kPictures * values, 0.6f, 9);
    EXPECT_EQ(FailedOf(x, kPictures, 3), std::vector<int32_t>(kPictures, 0));
    for (int b = 0; b < kPictures; ++b) {
      std::vector<int32_t> want(kPictures, 0);
      want[b] = 1;
      for (const int64_t at : {b * values, (b + 1) * values - 1}) {
        const float was = std::exchange(x[at], at % 2 == 0 ? INFINITY : -INFINITY);
        EXPECT_EQ(FailedOf(x, kPictures, 3), want) << at << " of pictures of " << values;
        x[at] = was;
      }
    }
  }
}

TEST(PictureBytesTest, MarksANanAndAsksNoChannelBeyondRgb) {
  HMAR_SKIP_WITHOUT_GPU();
  std::vector<float> x(2 * 6 * 5, 0.5f);
  for (size_t i = 0; i < x.size(); ++i) {
    if (i % 5 >= 3) x[i] = NAN;
  }
  const DeviceArray<uint8_t> out(2 * 6 * 3);
  const DeviceArray<int32_t> failed(std::vector<int32_t>(2, 0));
  DeviceArray<float> from(x);
  CheckCuda(kernels::PictureBytes({from.data(), 2, 6, 5, out.data(), failed.data()}, nullptr));
  EXPECT_EQ(failed.Download(), std::vector<int32_t>({0, 0}));
  x[8 * 5 + 2] = NAN;
  from.Upload(x);
  CheckCuda(kernels::PictureBytes({from.data(), 2, 6, 5, out.data(), failed.data()}, nullptr));
  EXPECT_EQ(failed.Download(), std::vector<int32_t>({0, 1}));
}

Bf16s RunSoftmax(const std::vector<float>& x, int n) {
  const DeviceArray<float> from(x);
  const DeviceArray<__nv_bfloat16> out(x.size());
  const int64_t rows = static_cast<int64_t>(x.size()) / n;
  CheckCuda(kernels::SoftmaxRows(from.data(), rows, n, out.data(), nullptr));
  return out.Download();
}

TEST(SoftmaxRowsTest, MatchesDoublePrecision) {
  HMAR_SKIP_WITHOUT_GPU();
  for (const int n : {1, 2, 31, 64, 256, 511, 512, 513, 1000, 4095, 4096}) {
    for (const int64_t rows : {1, 9}) {
      std::vector<float> x = Normals(rows * n, 8, n);
      for (float& v : x) v += 300;  // Beyond exp's range without the maximum taken off.
      const Bf16s got = RunSoftmax(x, n);
      const at::Tensor want =
          at::softmax(at::from_blob(x.data(), {rows, n}, at::kFloat).to(at::kDouble), 1);
      for (size_t i = 0; i < got.size(); ++i) {
        const double p = want.data_ptr<double>()[i];
        // Half a unit of bf16's last place; exp of up to -70 is good to some 1e-5.
        ASSERT_NEAR(__bfloat162float(got[i]), p, p * (1.0 / 256 + 2e-5) + 1e-37) << n << " " << i;
      }
    }
  }
}

TEST(SoftmaxRowsTest, MaskedEntriesAndRowsAmongOthers) {
  HMAR_SKIP_WITHOUT_GPU();
  for (const int n : {100, 700}) {
    std::vector<float> x = Normals(11 * n, 3, 9);
    std::fill(x.begin() + 4 * n + 1, x.begin() + 5 * n, -INFINITY);
    x[2 * n] = NAN;
    const Bf16s together = RunSoftmax(x, n);
    EXPECT_EQ(__bfloat162float(together[4 * n]), 1.0f);
    EXPECT_EQ(__bfloat162float(together[4 * n + 1]), 0.0f);
    EXPECT_TRUE(std::isnan(__bfloat162float(together[3 * n - 1])));
    for (const int row : {0, 3, 10}) {
      const std::vector<float> one(x.begin() + row * n, x.begin() + (row + 1) * n);
      const Bf16s in_batch(together.begin() + row * n, together.begin() + (row + 1) * n);
      EXPECT_TRUE(SameBytes(RunSoftmax(one, n), in_batch)) << row;
    }
  }
}

struct Preview {
  int P, Z, q;
  std::vector<int32_t> slots;
};

// Weights that keep most outputs within [-1, 1] and clamp some.
struct PreviewData {
  explicit PreviewData(const Preview& p)
      : f_hat(Normals(size_t{4} * p.P * p.P * p.Z, 1, 6)),
        weight(Normals(size_t{27} * p.Z * p.q * p.q, 0.6f / std::sqrt(9.0f * p.Z), 7)),
        bias(Normals(3 * p.q * p.q, 0.2f, 8)) {}
  std::vector<float> f_hat, weight, bias;  // f_hat: 4 slots.
};

Bytes RunPreview(const Preview& preview, const PreviewData& data) {
  const int side = preview.q * preview.P;
  const DeviceArray<float> f_hat(data.f_hat), weight(data.weight), bias(data.bias);
  const DeviceArray<int32_t> slots(preview.slots);
  const DeviceArray<uint8_t> out(preview.slots.size() * side * side * 3);
  FastPreviewArgs args;
  args.f_hat_PPZ = f_hat.data();
  args.slots_B = slots.data();
  args.B = static_cast<int>(preview.slots.size());
  args.P = preview.P;
  args.Z = preview.Z;
  args.q = preview.q;
  args.weight = weight.data();
  args.bias = bias.data();
  args.out_B = out.data();
  CheckCuda(kernels::FastPreview(args, nullptr), "FastPreview");
  return out.Download();
}

// The 3 q q outputs of cell (y, x) of one feature map.
std::vector<double> CellOutputs(const Preview& p, const PreviewData& data, const float* f_hat,
                                int y, int x) {
  std::vector<double> outputs(data.bias.begin(), data.bias.end());
  for (int tap = 0; tap < 9; ++tap) {
    const int from_y = y + tap / 3 - 1, from_x = x + tap % 3 - 1;
    if (from_y < 0 || from_y >= p.P || from_x < 0 || from_x >= p.P) continue;
    for (int z = 0; z < p.Z; ++z) {
      const double input = f_hat[(from_y * p.P + from_x) * p.Z + z];
      const float* const weight = &data.weight[(tap * p.Z + z) * outputs.size()];
      for (size_t o = 0; o < outputs.size(); ++o) outputs[o] += input * weight[o];
    }
  }
  return outputs;
}

// fp32 sums of up to 576 products are off by far less than 0.005 of a byte: next to a border
// either byte is right.
void ExpectPreview(const Preview& p, const PreviewData& data, const Bytes& got) {
  const int side = p.q * p.P;
  for (size_t b = 0; b < p.slots.size(); ++b) {
    const float* const f_hat = &data.f_hat[size_t{1} * p.slots[b] * p.P * p.P * p.Z];
    for (int cell = 0; cell < p.P * p.P; ++cell) {
      const int y = cell / p.P, x = cell % p.P;
      const std::vector<double> outputs = CellOutputs(p, data, f_hat, y, x);
      for (size_t o = 0; o < outputs.size(); ++o) {
        const int channel = static_cast<int>(o) / (p.q * p.q);
        const int row = y * p.q + static_cast<int>(o) / p.q % p.q;
        const int column = x * p.q + static_cast<int>(o) % p.q;
        const double byte = 127.5 * (std::clamp(outputs[o], -1.0, 1.0) + 1) + 0.5;
        const int value = got[((b * side + row) * side + column) * 3 + channel];
        ASSERT_GE(value, std::floor(byte - 0.005)) << b << " " << cell << " " << o;
        ASSERT_LE(value, std::floor(byte + 0.005)) << b << " " << cell << " " << o;
      }
    }
  }
}

class FastPreviewShapes : public testing::TestWithParam<Preview> {};

TEST_P(FastPreviewShapes, MatchesDoublePrecision) {
  HMAR_SKIP_WITHOUT_GPU();
  const PreviewData data(GetParam());
  ExpectPreview(GetParam(), data, RunPreview(GetParam(), data));
}

INSTANTIATE_TEST_SUITE_P(All, FastPreviewShapes,
                         testing::Values(Preview{8, 32, 4, {2, 0, 3}},
                                         Preview{16, 32, 4, {1, 1, 2}}, Preview{16, 32, 2, {3}},
                                         Preview{13, 4, 3, {0, 2}}, Preview{1, 8, 4, {0, 1}},
                                         Preview{5, 40, 1, {3, 2, 1}}, Preview{64, 40, 2, {1}},
                                         Preview{64, 64, 4, {1}}),
                         [](const testing::TestParamInfo<Preview>& info) {
                           return "P" + std::to_string(info.param.P) + "Z" +
                                  std::to_string(info.param.Z) + "q" + std::to_string(info.param.q);
                         });

TEST(FastPreviewTest, AnImageIsTheSameInAnyBatch) {
  HMAR_SKIP_WITHOUT_GPU();
  const PreviewData data({16, 32, 4, {}});
  const Bytes together = RunPreview({16, 32, 4, {0, 1, 2, 3, 2}}, data);
  const Bytes alone = RunPreview({16, 32, 4, {2}}, data);
  const size_t image = alone.size();
  EXPECT_EQ(Bytes(together.begin() + 2 * image, together.begin() + 3 * image), alone);
  EXPECT_EQ(Bytes(together.begin() + 4 * image, together.end()), alone);
}

TEST(PictureTest, NothingToDoAndBeyondTheLimits) {
  HMAR_SKIP_WITHOUT_GPU();
  const DeviceArray<float> x(64);
  const DeviceArray<int32_t> slots(std::vector<int32_t>{0});
  const DeviceArray<__nv_bfloat16> out(64);
  const DeviceArray<uint8_t> bytes(64);
  const auto gather = [&](int B, int64_t floats) {
    return kernels::GatherFeatures(x.data(), slots.data(), B, floats, out.data(), nullptr);
  };
  EXPECT_EQ(gather(0, 8), cudaSuccess);
  EXPECT_EQ(gather(1, 0), cudaSuccess);
  EXPECT_EQ(gather(1, 6), cudaErrorInvalidValue);
  const auto picture = [&](const float* from, int B, int64_t N, int C) {
    return kernels::PictureBytes({from, B, N, C, bytes.data(), nullptr}, nullptr);
  };
  EXPECT_EQ(picture(x.data(), 1, 0, 3), cudaSuccess);
  EXPECT_EQ(picture(x.data(), 0, 1, 3), cudaSuccess);
  EXPECT_EQ(picture(x.data(), 1, 1, 2), cudaErrorInvalidValue);
  EXPECT_EQ(picture(x.data(), -1, 1, 3), cudaErrorInvalidValue);
  EXPECT_EQ(picture(x.data() + 1, 1, 1, 3), cudaErrorInvalidValue);
  EXPECT_EQ(kernels::SoftmaxRows(x.data(), 0, 8, out.data(), nullptr), cudaSuccess);
  EXPECT_EQ(kernels::SoftmaxRows(x.data(), 1, 4097, out.data(), nullptr), cudaErrorInvalidValue);
  FastPreviewArgs args;
  args.P = 16, args.Z = 32, args.q = 4;
  EXPECT_EQ(kernels::FastPreview(args, nullptr), cudaSuccess);
  args.Z = 30;
  EXPECT_EQ(kernels::FastPreview(args, nullptr), cudaErrorInvalidValue);
  args.Z = 32, args.B = 1, args.q = 5;
  EXPECT_EQ(kernels::FastPreview(args, nullptr), cudaErrorInvalidValue);
}

}  // namespace
}  // namespace hmar
