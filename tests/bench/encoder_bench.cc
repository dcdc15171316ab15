// Source pictures to tokens on a GPU, as an edit has it: milliseconds a picture at several batch
// sizes.
//
//   encoder_bench [--model FOLDER] [--architecture NAME] [--repeats 30]
//
// First encodes a batch of random pictures and some of them alone, which must give the same tokens.
// Times are medians: of the whole call, with its copies and its wait, by the host's clock; and of
// the encoder and the quantizer on the device, between CUDA events with launches queued ahead.

#include <cuda_runtime_api.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <memory>
#include <random>
#include <vector>

#include "model/cuda/cuda_encoder.h"
#include "model/cuda/cuda_status.h"
#include "model/cuda/cuda_tokenizer.h"
#include "model/cuda/device_memory.h"
#include "model/cuda/weight_reader.h"
#include "model/model_folder.h"
#include "model/status_macros.h"

namespace hmar {
namespace {

constexpr int kMostPictures = 8;

struct Options {
  std::string model = "deploy/models/hmar-cifar10";
  std::string architecture;
  int repeats = 30;
};

struct Bench {
  DeviceMemory memory;
  kernels::ContributionWeights quantizer;
  std::unique_ptr<CudaEncoder> encoder;
  std::vector<Picture> pictures;
  std::vector<const Picture*> pointers;
  const __nv_bfloat16* pixels = nullptr;  // Of an arbitrary batch.
  cudaStream_t stream = nullptr;
};

std::vector<Picture> RandomPictures(uint32_t side) {
  std::mt19937 random(1);
  std::vector<Picture> pictures(kMostPictures);
  for (Picture& picture : pictures) {
    picture = {side, side, std::vector<uint8_t>(size_t{3} * side * side)};
    for (uint8_t& byte : picture.rgb) byte = static_cast<uint8_t>(random());
  }
  return pictures;
}

absl::Status Load(const Options& options, Bench* bench) {
  HMAR_ASSIGN_OR_RETURN(const ModelFolder folder,
                        OpenModelFolder(options.model, options.architecture));
  const ModelConfig& config = folder.config;
  WeightReader weights(folder.tokenizer.get());
  HMAR_ASSIGN_OR_RETURN(const kernels::Grids grids, MakeGrids(config));
  HMAR_ASSIGN_OR_RETURN(bench->quantizer, LoadQuantizer(config, &weights, &bench->memory));
  HMAR_ASSIGN_OR_RETURN(bench->encoder, CudaEncoder::Load(config, grids, bench->quantizer, &weights,
                                                          kMostPictures, &bench->memory));
  bench->pictures = RandomPictures(static_cast<uint32_t>(config.image_size));
  for (const Picture& picture : bench->pictures) bench->pointers.push_back(&picture);
  const int64_t values = int64_t{kMostPictures} * config.image_size * config.image_size *
                         CudaAutoencoder::kPixelChannels;
  const std::vector<uint16_t> zeros(values);
  HMAR_ASSIGN_OR_RETURN(const uint16_t* bits, bench->memory.Upload<uint16_t>("input", zeros));
  bench->pixels = reinterpret_cast<const __nv_bfloat16*>(bits);
  HMAR_CUDA_RETURN_IF_ERROR(cudaStreamCreate(&bench->stream));
  return absl::OkStatus();
}

absl::StatusOr<std::vector<TokenPyramid>> Encode(const Bench& bench, int first, int count) {
  return bench.encoder->Encode(absl::MakeConstSpan(bench.pointers).subspan(first, count));
}

absl::Status Check(const Bench& bench) {
  HMAR_ASSIGN_OR_RETURN(const std::vector<TokenPyramid> all, Encode(bench, 0, kMostPictures));
  for (const int i : {0, kMostPictures / 2, kMostPictures - 1}) {
    HMAR_ASSIGN_OR_RETURN(const std::vector<TokenPyramid> alone, Encode(bench, i, 1));
    if (alone.front() != all[i]) {
      return absl::InternalError("a picture alone has other tokens than in a batch");
    }
  }
  return absl::OkStatus();
}

double Median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + values.size() / 2, values.end());
  return values[values.size() / 2];
}

absl::StatusOr<double> TimeCall(const Bench& bench, int batch, int repeats) {
  using Clock = std::chrono::steady_clock;
  std::vector<double> milliseconds;
  for (int i = 0; i < repeats; ++i) {
    const Clock::time_point start = Clock::now();
    HMAR_RETURN_IF_ERROR(Encode(bench, 0, batch).status());
    milliseconds.push_back(std::chrono::duration<double, std::milli>(Clock::now() - start).count());
  }
  return Median(milliseconds);
}

absl::StatusOr<double> TimeDevice(const Bench& bench, int batch, int repeats) {
  std::vector<cudaEvent_t> events(repeats + 1);
  for (cudaEvent_t& event : events) HMAR_CUDA_RETURN_IF_ERROR(cudaEventCreate(&event));
  for (int i = 0; i <= repeats; ++i) {  // The first for the others' launches to queue behind.
    HMAR_RETURN_IF_ERROR(bench.encoder->EncodePixels(bench.pixels, batch, bench.stream));
    HMAR_CUDA_RETURN_IF_ERROR(cudaEventRecord(events[i], bench.stream));
  }
  HMAR_CUDA_RETURN_IF_ERROR(cudaStreamSynchronize(bench.stream));
  std::vector<double> milliseconds;
  for (int i = 0; i < repeats; ++i) {
    float ms = 0;
    HMAR_CUDA_RETURN_IF_ERROR(cudaEventElapsedTime(&ms, events[i], events[i + 1]));
    milliseconds.push_back(ms);
  }
  for (cudaEvent_t event : events) cudaEventDestroy(event);
  return Median(milliseconds);
}

absl::Status RunBench(const Options& options) {
  Bench bench;
  HMAR_RETURN_IF_ERROR(Load(options, &bench));
  HMAR_RETURN_IF_ERROR(Check(bench));
  for (int batch = 1; batch <= bench.encoder->max_batch(); batch *= 2) {
    HMAR_ASSIGN_OR_RETURN(const double call_ms, TimeCall(bench, batch, options.repeats));
    HMAR_ASSIGN_OR_RETURN(const double device_ms, TimeDevice(bench, batch, options.repeats));
    std::printf("encoder B %2d: %8.3f ms a call, %7.3f ms a picture; device %7.3f ms a picture\n",
                batch, call_ms, call_ms / batch, device_ms / batch);
  }
  cudaStreamDestroy(bench.stream);
  return absl::OkStatus();
}

int Main(int argc, char** argv) {
  Options options;
  CLI::App app("Times the CUDA encoder");
  app.add_option("--model", options.model)->capture_default_str();
  app.add_option("--architecture", options.architecture, "Of a folder without config.json");
  app.add_option("--repeats", options.repeats)->check(CLI::PositiveNumber)->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  const absl::Status status = RunBench(options);
  if (status.ok()) return 0;
  return std::fprintf(stderr, "%s\n", status.ToString().c_str()), 1;
}

}  // namespace
}  // namespace hmar

int main(int argc, char** argv) { return hmar::Main(argc, argv); }
