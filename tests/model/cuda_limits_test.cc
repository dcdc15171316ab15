// What the CUDA engine refuses by shape, without a device: also through MakeCudaEngine.

#include "model/cuda/cuda_limits.h"

#include <cuda_runtime_api.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "model/model_folder.h"

namespace hmar {
namespace {

using testing::HasSubstr;

ModelConfig Fits() {
  ModelConfig config;
  config.name = "model";
  config.classes = {"a", "b"};
  config.tokenizer.vocab_size = 32768;
  config.tokenizer.ch = 128;
  config.tokenizer.ch_mult = {1, 2, 8};
  config.transformer.num_heads = 64;
  config.transformer.embed_dim = 4096;
  config.transformer.mlp_ratio = 2;
  return config;
}

CudaEngineOptions In(Precision precision) {
  CudaEngineOptions options;
  options.precision = precision;
  return options;
}

void ExpectRefused(const ModelConfig& config, const CudaEngineOptions& options,
                   const std::string& why) {
  const absl::Status status = CheckCudaLimits(config, options);
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr(why));
  ModelFolder folder;
  folder.config = config;
  const auto engine = MakeCudaEngine(std::move(folder), options);
  EXPECT_EQ(engine.status(), status);
}

TEST(CudaLimitsTest, TheLargestShapesFit) {
  EXPECT_TRUE(CheckCudaLimits(Fits(), In(Precision::kBf16)).ok());
  EXPECT_TRUE(CheckCudaLimits(Fits(), In(Precision::kFp8)).ok());
  ModelConfig wide = Fits();
  wide.transformer.mlp_ratio = 16;
  EXPECT_TRUE(CheckCudaLimits(wide, In(Precision::kBf16)).ok());
}

TEST(CudaLimitsTest, WhatIsBeyondThemIsRefusedWithValueAndLimit) {
  const CudaEngineOptions bf16 = In(Precision::kBf16), fp8 = In(Precision::kFp8);
  ModelConfig config = Fits();
  config.tokenizer.vocab_size = 32769;
  ExpectRefused(config, bf16, "has a codebook of 32769; at most 32768");
  config = Fits();
  config.transformer.num_heads = 65;
  config.transformer.embed_dim = 4160;
  ExpectRefused(config, bf16, "has a width of 4160; at most 4096");
  config = Fits();
  config.transformer.mlp_ratio = 2.00390625;
  ExpectRefused(config, fp8, "has a feed-forward width of 8208; at most 8192 in fp8");
  EXPECT_TRUE(CheckCudaLimits(config, bf16).ok());
  config.transformer.mlp_ratio = 17;
  ExpectRefused(config, bf16, "has a feed-forward width of 69632; at most 65536");
  config = Fits();
  config.tokenizer.ch_mult = {9, 1};
  ExpectRefused(config, bf16, "has a tokenizer width of 1152; at most 1024");
  config = Fits();
  for (int i = 0; i < 65535; ++i) config.classes.push_back(absl::StrCat(i));
  ExpectRefused(config, bf16, "has a number of classes of 65537; at most 65534");
}

TEST(CudaLimitsTest, WhatDoesNotDivideIsRefused) {
  ModelConfig config = Fits();
  config.transformer.num_heads = 32;
  ExpectRefused(config, In(Precision::kBf16), "has 32 heads in a width of 4096; heads are 64 wide");
  config = Fits();
  config.transformer.mlp_ratio = 4100.0 / 4096;
  ExpectRefused(config, In(Precision::kBf16),
                "has a feed-forward width of 4100; it is a multiple of 8");
  config.transformer.mlp_ratio = 4104.0 / 4096;
  EXPECT_TRUE(CheckCudaLimits(config, In(Precision::kBf16)).ok());
  ExpectRefused(config, In(Precision::kFp8),
                "has a feed-forward width of 4104; it is a multiple of 16");
}

TEST(CudaLimitsTest, MoreRowsInAStepThanALayerTakesAreRefused) {
  CudaEngineOptions options;
  options.max_step_rows = (1 << 18) - 16;
  EXPECT_TRUE(CheckCudaLimits(Fits(), options).ok());
  ++options.max_step_rows;
  ExpectRefused(Fits(), options, "steps of 262129 rows; at most 262128");
}

TEST(CudaLimitsTest, AMachineWithoutADriverIsNamedAsThat) {
  int driver = 0;
  if (cudaDriverGetVersion(&driver) != cudaSuccess || driver != 0) {
    GTEST_SKIP() << "this machine has a driver";
  }
  ModelFolder folder;
  folder.config = Fits();
  const absl::Status status = MakeCudaEngine(std::move(folder), In(Precision::kBf16)).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("cuda:0: there is no NVIDIA driver here"));
}

}  // namespace
}  // namespace hmar
