// GroupNorm with SiLU at the official decoder's shapes: with statistics of its own, and with those
// that a convolution left. The floor of the first: x read twice and written once at 4.2 TB/s, or
// read once where x fits in the L2 (under 40 MB); of the second: read once and written once.

#include "kernels/group_norm.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <vector>

#include "tests/kernels/device_array.h"
#include "tests/kernels/gpu_timer.h"

namespace hmar {
namespace {

using kernels::GroupNormArgs;
using kernels::kGroups;
using Bf16s = std::vector<__nv_bfloat16>;

constexpr double kBytesPerMicrosecond = 4.2e6;
constexpr double kL2Bytes = 40e6;
constexpr size_t kRotatedBytes = size_t{256} << 20;

struct Shape {
  int B;
  int64_t S;
  int C;

  size_t image() const { return S * C; }
  size_t bytes() const { return B * image() * sizeof(__nv_bfloat16); }
};

// One random image for all, weights 1 and biases 0: what is timed does not look at the values.
struct Buffers {
  Buffers(const Shape& shape, size_t copies, const Bf16s& image)
      : x(copies * shape.B * shape.image()),
        out(copies * shape.B * shape.image()),
        weight(std::vector<float>(shape.C, 1.0f)),
        bias(std::vector<float>(shape.C, 0.0f)),
        workspace(kernels::GroupNormWorkspaceBytes(shape.B, shape.S) / sizeof(float)) {
    const size_t bytes = image.size() * sizeof(image[0]);
    for (size_t at = 0; at < x.size(); at += image.size()) {
      CheckCuda(cudaMemcpy(x.data() + at, image.data(), bytes, cudaMemcpyHostToDevice));
    }
  }

  DeviceArray<__nv_bfloat16> x, out;
  DeviceArray<float> weight, bias, workspace;
};

Bf16s RandomImage(const Shape& shape) {
  std::mt19937 random(1);
  std::uniform_real_distribution<float> uniform(-1, 3);
  Bf16s image(shape.image());
  for (__nv_bfloat16& v : image) v = __float2bfloat16(uniform(random));
  return image;
}

// Group `group` of the last image of the first copy, in double precision.
void CheckGroup(const Shape& shape, const Bf16s& image, const Bf16s& got, int group) {
  const int width = shape.C / kGroups;
  const auto for_each = [&](const auto& visit) {
    for (int64_t s = 0; s < shape.S; ++s) {
      for (int c = group * width; c < (group + 1) * width; ++c) visit(s * shape.C + c);
    }
  };
  const double count = static_cast<double>(shape.S) * width;
  double mean = 0, m2 = 0;
  for_each([&](size_t i) { mean += __bfloat162float(image[i]) / count; });
  for_each([&](size_t i) { m2 += std::pow(__bfloat162float(image[i]) - mean, 2); });
  for_each([&](size_t i) {
    const double y = (__bfloat162float(image[i]) - mean) / std::sqrt(m2 / count + 1e-6);
    const double want = y / (1 + std::exp(-y));
    if (std::abs(__bfloat162float(got[i]) - want) <= std::abs(want) / 256 + 1e-4) return;
    std::fprintf(stderr, "wrong: group %d, element %zu: %f for %f\n", group, i,
                 __bfloat162float(got[i]), want);
    std::exit(1);
  });
}

// The statistics of RandomImage's distribution.
constexpr float kMean = 1, kVariance = 4.0f / 3;

// Chunks of 64 positions, as a convolution leaves them; all alike.
std::vector<float> Partials(const Shape& shape) {
  std::vector<float> partials;
  for (int64_t chunk = 0; chunk < shape.B * shape.S / 64; ++chunk) {
    const float count = 64.0f * static_cast<float>(shape.C / kGroups);
    partials.insert(partials.end(), kGroups, count);
    partials.insert(partials.end(), kGroups, kMean);
    partials.insert(partials.end(), kGroups, count * kVariance);
  }
  return partials;
}

void CheckFromPartials(const Bf16s& image, const Bf16s& got) {
  for (size_t i = 0; i < image.size(); i += 97) {
    const double y = (__bfloat162float(image[i]) - kMean) / std::sqrt(kVariance + 1e-6);
    const double want = y / (1 + std::exp(-y));
    if (std::abs(__bfloat162float(got[i]) - want) <= std::abs(want) / 256 + 1e-4) continue;
    std::fprintf(stderr, "wrong from partials: element %zu: %f for %f\n", i,
                 __bfloat162float(got[i]), want);
    std::exit(1);
  }
}

void Print(const char* name, const Shape& shape, double us, double bytes) {
  std::printf("%-24s B %2d S %6lld C %4d %9.1f us %7.0f GB/s %5.1f %% of the floor\n", name,
              shape.B, static_cast<long long>(shape.S), shape.C, us, bytes / us / 1e3,
              100 * bytes / kBytesPerMicrosecond / us);
}

void Bench(const Shape& shape) {
  const size_t copies = std::max<size_t>(1, kRotatedBytes / shape.bytes());
  const Bf16s image = RandomImage(shape);
  const Buffers buffers(shape, copies, image);
  const DeviceArray<float> partials(Partials(shape));
  GroupNormArgs args;
  args.weight_C = buffers.weight.data();
  args.bias_C = buffers.bias.data();
  args.workspace = buffers.workspace.data();
  args.B = shape.B;
  args.S = shape.S;
  args.C = shape.C;
  size_t turn = 0;
  const auto rotate = [&] {
    const size_t offset = turn++ % copies * shape.B * shape.image();
    args.x_BSC = buffers.x.data() + offset;
    args.out_BSC = buffers.out.data() + offset;
  };
  const auto whole = [&](cudaStream_t stream) {
    rotate();
    CheckCuda(kernels::GroupNorm(args, stream), "GroupNorm");
  };
  const auto from_partials = [&](cudaStream_t stream) {
    rotate();
    const int chunks = static_cast<int>(shape.S / 64);
    CheckCuda(kernels::GroupNormFromPartials(args, partials.data(), chunks, stream));
  };
  const auto last_image = [&] {
    CheckCuda(cudaDeviceSynchronize(), "GroupNorm");
    Bf16s got(shape.image());
    CheckCuda(cudaMemcpy(got.data(), args.out_BSC + (shape.B - 1) * shape.image(),
                         got.size() * sizeof(got[0]), cudaMemcpyDeviceToHost));
    return got;
  };
  whole(nullptr);
  const Bf16s got = last_image();
  for (const int group : {0, 13, 31}) CheckGroup(shape, image, got, group);
  from_partials(nullptr);
  CheckFromPartials(image, last_image());

  // Whole rounds, so that replays too find every copy cold.
  const int repeats = static_cast<int>((20 + copies - 1) / copies * copies);
  const auto bytes = static_cast<double>(shape.bytes());
  Print("group_norm", shape, MedianMicroseconds(whole, repeats),
        (bytes < kL2Bytes ? 2 : 3) * bytes);
  Print("group_norm from partials", shape, MedianMicroseconds(from_partials, repeats), 2 * bytes);
}

}  // namespace
}  // namespace hmar

int main() {
  for (const int B : {1, 8, 32}) {
    hmar::Bench({B, 65'536, 160});
    hmar::Bench({B, 16'384, 160});
    hmar::Bench({B, 4'096, 320});
    hmar::Bench({B, 256, 640});
  }
}
