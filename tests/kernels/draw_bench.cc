// DrawTokens against the bytes of its logits, ReopenLeastCertain against a launch.

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <vector>

#include "kernels/draw.h"
#include "model/philox.h"
#include "model/sampler.h"
#include "tests/kernels/gpu_timer.h"

namespace hmar {
namespace {

using kernels::DrawImage;
using kernels::ReopenJob;

constexpr double kCopyBytesPerUs = 4.2e6;
constexpr int V = 4096;
constexpr int kImages = 32;
constexpr int kTokens = 170;  // Of an image; 5,440 tokens in all, 178 MB of guided logits.
constexpr float kGuidance = 1.5f;

struct Truncation {
  const char* name;
  uint32_t top_k;
  float top_p;
  float temperature;
};

std::vector<float> RandomLogits(int64_t rows) {
  std::mt19937 random(1);
  std::normal_distribution<float> normal(0, 2);
  std::vector<float> logits(rows * V);
  for (float& l : logits) l = normal(random);
  return logits;
}

kernels::Grids OneGrid() {
  kernels::Grids grids = {.scales = 1, .last = 16, .most_tokens = 256};
  grids.side[0] = 16;
  return grids;
}

std::vector<DrawImage> Images(const Truncation& truncation) {
  const float drop_mass = DrawParams(1, 0, truncation.top_p).drop_mass;
  std::vector<DrawImage> images;
  for (int i = 0; i < kImages; ++i) {
    images.push_back({.first_row = i * kTokens,
                      .first_uncond_row = (kImages + i) * kTokens,
                      .first_token = i * kTokens,
                      .tokens = kTokens,
                      .slot = i,
                      .seed = static_cast<uint64_t>(i),
                      .guidance = kGuidance,
                      .temperature = truncation.temperature,
                      .top_k = truncation.top_k,
                      .drop_mass = drop_mass});
  }
  return images;
}

// Every 37th token as DrawToken draws it; one of them may lie on a boundary.
void Check(const std::vector<float>& logits, const std::vector<DrawImage>& images,
           const std::vector<int32_t>& tokens) {
  DrawScratch scratch;
  std::vector<float> guided(V);
  int differing = 0;
  for (int t = 0; t < kImages * kTokens; t += 37) {
    const DrawImage& image = images[t / kTokens];
    const int position = t % kTokens;
    const absl::Span<const float> rows = logits;
    Guide(rows.subspan((image.first_row + position) * V, V),
          rows.subspan((image.first_uncond_row + position) * V, V), image.guidance,
          absl::MakeSpan(guided));
    DrawParams params(image.temperature, image.top_k, 1.0f);
    params.drop_mass = image.drop_mass;
    const float uniform = TokenUniform(image.seed, position, image.scale, image.step);
    differing +=
        DrawToken(guided, params, uniform, &scratch).token != tokens[image.slot * 256 + position];
  }
  if (differing <= 1) return;
  std::fprintf(stderr, "%d sampled tokens are not DrawToken's\n", differing);
  std::exit(1);
}

void BenchDraw(const std::vector<float>& host_logits, const DeviceArray<float>& logits,
               const Truncation& truncation) {
  const std::vector<DrawImage> host_images = Images(truncation);
  std::vector<int32_t> host_image_of_token(kImages * kTokens);
  for (int t = 0; t < kImages * kTokens; ++t) host_image_of_token[t] = t / kTokens;
  const DeviceArray<DrawImage> images(host_images);
  const DeviceArray<int32_t> image_of_token(host_image_of_token);
  const DeviceArray<int32_t> tokens(kImages * 256);
  const DeviceArray<float> confidence(kImages * 256);
  const DeviceArray<int32_t> failed(kImages);
  const kernels::DrawState state = {tokens.data(), 256, confidence.data(), failed.data()};
  const auto launch_some = [&](int count, cudaStream_t stream) {
    CheckCuda(kernels::DrawTokens(logits.data(), V, images.data(), image_of_token.data(), count,
                                  OneGrid(), state, stream));
  };
  const auto launch = [&](cudaStream_t stream) { launch_some(kImages * kTokens, stream); };
  launch(nullptr);
  const std::vector<int32_t> drawn = tokens.Download();
  Check(host_logits, host_images, drawn);
  launch_some(kTokens, nullptr);  // By other blocks, to the same tokens.
  if (tokens.Download() != drawn) {
    std::fprintf(stderr, "the first image alone draws other tokens\n");
    std::exit(1);
  }
  const double us = MedianMicroseconds(launch);
  const double bytes = static_cast<double>(logits.bytes());
  std::printf("draw %-40s T %d V %d guided  %7.1f us  %6.0f GB/s  %3.0f %% of floor\n",
              truncation.name, kImages * kTokens, V, us, bytes / us / 1e3,
              100 * bytes / kCopyBytesPerUs / us);
  for (const int count : {1, kTokens}) {
    std::printf("draw %-40s T %4d V %d guided  %7.1f us (logits in L2)\n", truncation.name, count,
                V, MedianMicroseconds([&](cudaStream_t s) { launch_some(count, s); }));
  }
}

void BenchReopen() {
  constexpr int kJobs = 100, n = 256;
  std::mt19937 random(2);
  std::vector<float> host_confidence(kJobs * n);
  for (float& c : host_confidence) c = static_cast<float>(random()) * 0x1p-32f;
  std::vector<ReopenJob> host_jobs;
  for (int i = 0; i < kJobs; ++i) host_jobs.push_back({.slot = i, .tokens = n, .count = i * 2});
  const DeviceArray<ReopenJob> jobs(host_jobs);
  const DeviceArray<float> confidence(host_confidence);
  const DeviceArray<uint8_t> open(kJobs * n);
  const auto launch = [&](cudaStream_t stream) {
    CheckCuda(
        kernels::ReopenLeastCertain(jobs.data(), kJobs, confidence.data(), open.data(), n, stream));
  };
  launch(nullptr);
  const std::vector<uint8_t> got = open.Download();
  for (int i = 0; i < kJobs; ++i) {
    const absl::Span<const float> row = absl::MakeConstSpan(host_confidence).subspan(i * n, n);
    const std::vector<uint8_t> expected =
        ReopenLeastCertain(std::vector<uint8_t>(n, 1), row, host_jobs[i].count);
    if (std::equal(expected.begin(), expected.end(), got.begin() + i * n)) continue;
    std::fprintf(stderr, "job %d reopens other tokens than the reference\n", i);
    std::exit(1);
  }
  std::printf("reopen %d images of n %d  %.2f us (a launch in a graph: about 1 us)\n", kJobs, n,
              MedianMicroseconds(launch));
}

}  // namespace
}  // namespace hmar

int main() {
  const std::vector<float> host_logits = hmar::RandomLogits(2 * hmar::kImages * hmar::kTokens);
  const hmar::DeviceArray<float> logits(host_logits);
  for (const hmar::Truncation& truncation :
       {hmar::Truncation{"no truncation", 0, 1, 1}, hmar::Truncation{"top_k 1,000", 1000, 1, 1},
        hmar::Truncation{"top_p 0.99", 0, 0.99f, 1},
        hmar::Truncation{"top_k 1,000, top_p 0.99", 1000, 0.99f, 1},
        hmar::Truncation{"top_k 1,000, top_p 0.99, temperature 0.9", 1000, 0.99f, 0.9f}}) {
    hmar::BenchDraw(host_logits, logits, truncation);
  }
  hmar::BenchReopen();
}
