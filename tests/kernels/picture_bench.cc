// The decoder's small kernels. The floor: bytes in and out at 4.2 TB/s, for FastPreview fp32
// multiply-adds at 60 TFLOP/s.

#include "kernels/picture.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <string>
#include <vector>

#include "tests/kernels/device_array.h"
#include "tests/kernels/gpu_timer.h"

namespace hmar {
namespace {

constexpr double kBytesPerMicrosecond = 4.2e6;
constexpr double kFp32FlopsPerMicrosecond = 60e6;
constexpr size_t kCopies = 8;  // Of inputs and outputs, so that the L2 does not hold large ones.

std::vector<float> Uniform(size_t count, float limit, unsigned seed) {
  std::mt19937 random(seed);
  std::uniform_real_distribution<float> uniform(-limit, limit);
  std::vector<float> values(count);
  for (float& v : values) v = uniform(random);
  return values;
}

void Check(bool right, const char* what, size_t at) {
  if (right) return;
  std::fprintf(stderr, "wrong: %s at %zu\n", what, at);
  std::exit(1);
}

// `work` in `unit`s, of which the floor does `rate` a microsecond.
void Report(const std::string& what, double us, double work, const char* unit, double rate) {
  std::printf("%-44s %8.1f us %9.2f %s %5.1f %% of the floor\n", what.c_str(), us, work / us / 1e6,
              unit, 100 * work / rate / us);
}

void ReportBytes(const std::string& what, double us, double bytes) {
  Report(what, us, bytes, "TB/s", kBytesPerMicrosecond);
}

uint8_t ByteOf(double x) {
  return static_cast<uint8_t>(127.5 * (std::clamp(x, -1.0, 1.0) + 1) + 0.5);
}

void BenchGather(int B) {
  constexpr int64_t kFloats = 256 * 32;
  const std::vector<float> image = Uniform(kFloats * B, 1, 1);
  std::vector<float> all;
  for (size_t i = 0; i < kCopies; ++i) all.insert(all.end(), image.begin(), image.end());
  std::vector<int32_t> slots(B);
  for (int b = 0; b < B; ++b) slots[b] = B - 1 - b;
  const DeviceArray<float> f_hat(all);
  const DeviceArray<int32_t> on_device(slots);
  const DeviceArray<__nv_bfloat16> out(all.size());
  size_t turn = 0;
  const auto launch = [&](cudaStream_t stream) {
    const size_t offset = turn++ % kCopies * image.size();
    CheckCuda(kernels::GatherFeatures(f_hat.data() + offset, on_device.data(), B, kFloats,
                                      out.data() + offset, stream));
  };
  launch(nullptr);
  const std::vector<__nv_bfloat16> got = out.Download();
  for (size_t i = 0; i < image.size(); i += 97) {
    const float from = image[(B - 1 - i / kFloats) * kFloats + i % kFloats];
    Check(std::abs(__bfloat162float(got[i]) - from) <= std::abs(from) / 256, "gather", i);
  }
  ReportBytes("gather B " + std::to_string(B) + " (L2)", MedianMicroseconds(launch),
              6.0 * image.size());
}

void BenchPictureBytes(int B) {
  const int64_t pixels = int64_t{B} * 256 * 256;
  const std::vector<float> x = Uniform(3 * pixels, 1.1f, 2);
  const DeviceArray<float> in(kCopies * x.size());
  const DeviceArray<uint8_t> out(kCopies * x.size());
  const DeviceArray<int32_t> failed(B);
  for (size_t i = 0; i < kCopies; ++i) {
    CheckCuda(cudaMemcpy(in.data() + i * x.size(), x.data(), x.size() * sizeof(float),
                         cudaMemcpyHostToDevice));
  }
  size_t turn = 0;
  const auto launch = [&](cudaStream_t stream) {
    const size_t offset = turn++ % kCopies * x.size();
    CheckCuda(kernels::PictureBytes(
        {in.data() + offset, B, pixels / B, 3, out.data() + offset, failed.data()}, stream));
  };
  launch(nullptr);
  const std::vector<uint8_t> got = out.Download();
  for (size_t i = 0; i < x.size(); i += 101) {
    Check(std::abs(got[i] - ByteOf(x[i])) <= 1, "picture bytes", i);
  }
  ReportBytes("picture_bytes B " + std::to_string(B) + " 256 x 256", MedianMicroseconds(launch),
              5.0 * x.size());
}

void BenchSoftmax(int64_t rows, int n) {
  const std::vector<float> x = Uniform(rows * n, 5, 3);
  const DeviceArray<float> in(x);
  const DeviceArray<__nv_bfloat16> out(x.size());
  const auto launch = [&](cudaStream_t stream) {
    CheckCuda(kernels::SoftmaxRows(in.data(), rows, n, out.data(), stream));
  };
  launch(nullptr);
  const std::vector<__nv_bfloat16> got = out.Download();
  for (int64_t row = 0; row < rows; row += rows / 16) {
    double sum = 0;
    for (int i = 0; i < n; ++i) sum += std::exp(static_cast<double>(x[row * n + i]));
    for (int64_t i = row * n; i < (row + 1) * n; ++i) {
      const double p = std::exp(static_cast<double>(x[i])) / sum;
      Check(std::abs(__bfloat162float(got[i]) - p) <= p / 250, "softmax", i);
    }
  }
  ReportBytes("softmax rows " + std::to_string(rows) + " n " + std::to_string(n) + " (L2)",
              MedianMicroseconds(launch), 6.0 * x.size());
}

// Pixel (0, 0) of cell (5, 7), red, in double precision.
double PreviewOf(const std::vector<float>& f_hat, const std::vector<float>& weight, float bias,
                 int P, int Z, int outputs) {
  double sum = bias;
  for (int tap = 0; tap < 9; ++tap) {
    const int cell = (5 + tap / 3 - 1) * P + 7 + tap % 3 - 1;
    for (int z = 0; z < Z; ++z) sum += f_hat[cell * Z + z] * weight[(tap * Z + z) * outputs];
  }
  return sum;
}

void BenchPreview(int B) {
  constexpr int P = 16, Z = 32, q = 4, kOutputs = 3 * q * q, kSide = q * P;
  const std::vector<float> f_hat = Uniform(size_t{1} * B * P * P * Z, 1, 5);
  const std::vector<float> weight = Uniform(9 * Z * kOutputs, 0.1f, 6);
  const std::vector<float> bias = Uniform(kOutputs, 0.1f, 7);
  std::vector<int32_t> slots(B);
  for (int b = 0; b < B; ++b) slots[b] = B - 1 - b;
  const DeviceArray<float> f_hats(f_hat), weights(weight), biases(bias);
  const DeviceArray<int32_t> on_device(slots);
  const DeviceArray<uint8_t> out(size_t{3} * B * kSide * kSide);
  kernels::FastPreviewArgs args;
  args.f_hat_PPZ = f_hats.data();
  args.slots_B = on_device.data();
  args.B = B, args.P = P, args.Z = Z, args.q = q;
  args.weight = weights.data();
  args.bias = biases.data();
  args.out_B = out.data();
  const auto launch = [&](cudaStream_t stream) {
    CheckCuda(kernels::FastPreview(args, stream), "FastPreview");
  };
  launch(nullptr);
  const std::vector<uint8_t> got = out.Download();
  const double want = PreviewOf(f_hat, weight, bias[0], P, Z, kOutputs);  // Slot 0: the last image.
  const size_t at = ((size_t(B) - 1) * kSide * kSide + 5 * q * kSide + 7 * q) * 3;
  Check(std::abs(got[at] - ByteOf(want)) <= 1, "preview", at);
  Report("fast_preview B " + std::to_string(B) + " P 16 Z 32 q 4", MedianMicroseconds(launch),
         2.0 * B * P * P * 9 * Z * kOutputs, "TFLOP/s", kFp32FlopsPerMicrosecond);
}

}  // namespace
}  // namespace hmar

int main() {
  hmar::BenchGather(32);
  hmar::BenchPictureBytes(32);
  hmar::BenchSoftmax(32 * 256, 256);
  hmar::BenchSoftmax(4096, 4096);
  hmar::BenchPreview(16);
  hmar::BenchPreview(200);
}
