#ifndef HMAR_MODEL_CUDA_CUDA_TOKENIZER_H_
#define HMAR_MODEL_CUDA_CUDA_TOKENIZER_H_

#include "absl/status/statusor.h"
#include "kernels/f_hat.h"
#include "kernels/packed_rows.h"
#include "kernels/quantize.h"
#include "model/config.h"
#include "model/cuda/device_memory.h"
#include "model/cuda/weight_reader.h"
#include "model/engine.h"

namespace hmar {

// The model's grids as kernels take them. FAILED_PRECONDITION: more scales than Grids::kMaxScales,
// or more than 4,096 tokens in one.
absl::StatusOr<kernels::Grids> MakeGrids(const ModelConfig& config);

// The quantizer's tables (codebook, phi, bicubic weights) on the device, for LayTokens.
absl::StatusOr<kernels::ContributionWeights> LoadQuantizer(const ModelConfig& config,
                                                           WeightReader* weights,
                                                           DeviceMemory* memory);

// The codebook on the device once more, for NearestTokens.
absl::StatusOr<kernels::CodebookSearch> LoadCodebookSearch(WeightReader* weights,
                                                           DeviceMemory* memory);

// An image's L tokens, scale by scale, as maps.
TokenPyramid PyramidOf(const ModelConfig& config, const int32_t* tokens_L);

}  // namespace hmar

#endif  // HMAR_MODEL_CUDA_CUDA_TOKENIZER_H_
