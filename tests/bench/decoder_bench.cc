// The CUDA decoder alone: milliseconds an image at several batch sizes, from random feature maps.
//
//   decoder_bench [--model FOLDER] [--architecture NAME] [--max-batch 32] [--repeats 30]
//
// First decodes the largest batch and some of its images alone, which must give the same bytes.
// Times are medians between CUDA events, launches included: a batch's launches are queued while
// the one before it runs.

#include <cuda_bf16.h>
#include <cuda_runtime_api.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <memory>
#include <random>
#include <vector>

#include "model/cuda/cuda_autoencoder.h"
#include "model/cuda/cuda_status.h"
#include "model/cuda/device_memory.h"
#include "model/cuda/weight_reader.h"
#include "model/model_folder.h"
#include "model/status_macros.h"

namespace hmar {
namespace {

struct Options {
  std::string model = "deploy/models/hmar-cifar10";
  std::string architecture;
  int max_batch = 32;
  int repeats = 30;
};

// A decoder, its input and its stream.
struct Bench {
  int64_t features = 0;  // Of an image: P * P * Z.
  int64_t floats = 0;    // Of a picture: S * S * 3.
  DeviceMemory memory;
  std::unique_ptr<CudaAutoencoder> decoder;
  __nv_bfloat16* f_hat_BPPZ = nullptr;
  cudaStream_t stream = nullptr;
};

std::vector<uint16_t> RandomMaps(int64_t count) {
  std::mt19937 random(1);
  std::normal_distribution<float> normal;
  std::vector<uint16_t> maps(count);
  for (uint16_t& value : maps) value = Bf16Bits(normal(random));
  return maps;
}

absl::Status Load(const Options& options, Bench* bench) {
  HMAR_ASSIGN_OR_RETURN(const ModelFolder folder,
                        OpenModelFolder(options.model, options.architecture));
  const ModelConfig& config = folder.config;
  bench->features = int64_t{config.last_grid()} * config.last_grid() * config.tokenizer.z_channels;
  bench->floats = int64_t{config.image_size} * config.image_size * 3;
  WeightReader weights(folder.tokenizer.get());
  HMAR_ASSIGN_OR_RETURN(bench->decoder,
                        CudaAutoencoder::Load(config, CudaAutoencoder::Half::kDecoder, &weights,
                                              options.max_batch, &bench->memory));
  const std::vector<uint16_t> maps = RandomMaps(options.max_batch * bench->features);
  HMAR_ASSIGN_OR_RETURN(const uint16_t* bits, bench->memory.Upload<uint16_t>("input", maps));
  bench->f_hat_BPPZ = reinterpret_cast<__nv_bfloat16*>(const_cast<uint16_t*>(bits));
  HMAR_CUDA_RETURN_IF_ERROR(cudaStreamCreate(&bench->stream));
  return absl::OkStatus();
}

// The pictures of images [first, first + count), decoded as one batch.
absl::StatusOr<std::vector<float>> Decode(const Bench& bench, int first, int count) {
  HMAR_RETURN_IF_ERROR(
      bench.decoder->Decode(bench.f_hat_BPPZ + first * bench.features, count, bench.stream));
  HMAR_CUDA_RETURN_IF_ERROR(cudaStreamSynchronize(bench.stream));
  std::vector<float> pixels(count * bench.floats);
  HMAR_CUDA_RETURN_IF_ERROR(cudaMemcpy(pixels.data(), bench.decoder->pixels_BSS3(),
                                       pixels.size() * sizeof(float), cudaMemcpyDeviceToHost));
  return pixels;
}

absl::Status Check(const Bench& bench, int batch) {
  HMAR_ASSIGN_OR_RETURN(const std::vector<float> all, Decode(bench, 0, batch));
  for (const float pixel : all) {
    if (!std::isfinite(pixel)) return absl::InternalError("a pixel is not finite");
  }
  for (const int b : {0, batch / 2, batch - 1}) {
    HMAR_ASSIGN_OR_RETURN(const std::vector<float> alone, Decode(bench, b, 1));
    if (!std::equal(alone.begin(), alone.end(), all.begin() + b * bench.floats)) {
      return absl::InternalError("an image alone is not what it is in a batch");
    }
  }
  return absl::OkStatus();
}

// Median milliseconds of a batch.
absl::StatusOr<double> Time(const Bench& bench, int batch, int repeats) {
  std::vector<cudaEvent_t> events(repeats + 1);
  for (cudaEvent_t& event : events) HMAR_CUDA_RETURN_IF_ERROR(cudaEventCreate(&event));
  for (int i = 0; i < 2; ++i) {  // Warm-up, and work for the first launches to queue behind.
    HMAR_RETURN_IF_ERROR(bench.decoder->Decode(bench.f_hat_BPPZ, batch, bench.stream));
  }
  HMAR_CUDA_RETURN_IF_ERROR(cudaEventRecord(events[0], bench.stream));
  for (int i = 0; i < repeats; ++i) {
    HMAR_RETURN_IF_ERROR(bench.decoder->Decode(bench.f_hat_BPPZ, batch, bench.stream));
    HMAR_CUDA_RETURN_IF_ERROR(cudaEventRecord(events[i + 1], bench.stream));
  }
  HMAR_CUDA_RETURN_IF_ERROR(cudaStreamSynchronize(bench.stream));
  std::vector<float> milliseconds(repeats);
  for (int i = 0; i < repeats; ++i) {
    HMAR_CUDA_RETURN_IF_ERROR(cudaEventElapsedTime(&milliseconds[i], events[i], events[i + 1]));
  }
  for (cudaEvent_t event : events) cudaEventDestroy(event);
  std::nth_element(milliseconds.begin(), milliseconds.begin() + repeats / 2, milliseconds.end());
  return milliseconds[repeats / 2];
}

absl::Status RunBench(const Options& options) {
  Bench bench;
  HMAR_RETURN_IF_ERROR(Load(options, &bench));
  HMAR_RETURN_IF_ERROR(Check(bench, options.max_batch));
  for (const int batch : {1, 2, 4, 8, 16, 32, 64}) {
    if (batch > options.max_batch) break;
    HMAR_ASSIGN_OR_RETURN(const double ms, Time(bench, batch, options.repeats));
    std::printf("decoder B %2d: %8.3f ms, %7.3f ms an image\n", batch, ms, ms / batch);
  }
  cudaStreamDestroy(bench.stream);
  return absl::OkStatus();
}

int Main(int argc, char** argv) {
  Options options;
  CLI::App app("Times the CUDA decoder");
  app.add_option("--model", options.model)->capture_default_str();
  app.add_option("--architecture", options.architecture, "Of a folder without config.json");
  app.add_option("--max-batch", options.max_batch)->check(CLI::Range(1, 64))->capture_default_str();
  app.add_option("--repeats", options.repeats)->check(CLI::PositiveNumber)->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  const absl::Status status = RunBench(options);
  if (status.ok()) return 0;
  return std::fprintf(stderr, "%s\n", status.ToString().c_str()), 1;
}

}  // namespace
}  // namespace hmar

int main(int argc, char** argv) { return hmar::Main(argc, argv); }
