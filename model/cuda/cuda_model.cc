#include "model/cuda/cuda_model.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "kernels/draw.h"
#include "kernels/embed.h"
#include "model/cuda/cuda_limits.h"
#include "model/cuda/cuda_tokenizer.h"

namespace hmar {
namespace {

constexpr char kSlots[] = "slots";
constexpr uint32_t kMostImages = 1024;

// Pixels decoded at once: 16 pictures of 256 x 256.
constexpr int64_t kDecodePixels = 16 * 256 * 256;
constexpr int64_t kMaxDecodeBatch = 64;

// Pixels encoded at once: 4 pictures of 256 x 256, as many as a server's step brings.
constexpr int64_t kEncodePixels = 4 * 256 * 256;
constexpr int64_t kMaxEncodeBatch = 8;

// Left for what the driver and cuBLASLt load later, and for other processes' growth.
constexpr int64_t kSpareBytes = int64_t{512} << 20;

// What an image costs outside its slot: its share of pinned and staged pictures.
constexpr int64_t kPictureBytesPerPixel = 3;

// CUDA says of a machine without a driver that the driver is too old.
const char* WhyNoDevices(cudaError_t error) {
  int driver = 0;
  if (error == cudaErrorInsufficientDriver && cudaDriverGetVersion(&driver) == cudaSuccess &&
      driver == 0) {
    return "there is no NVIDIA driver here; a container must be given its GPUs";
  }
  return cudaGetErrorString(error);
}

absl::Status CheckDevice(int device) {
  int count = 0;
  const cudaError_t error = cudaGetDeviceCount(&count);
  if (error != cudaSuccess) {
    cudaGetLastError();
    return absl::FailedPreconditionError(absl::StrCat("cuda:", device, ": ", WhyNoDevices(error)));
  }
  if (device >= count) {
    return absl::FailedPreconditionError(
        absl::StrCat("cuda:", device, ": this machine has ", count, " CUDA devices"));
  }
  return absl::OkStatus();
}

}  // namespace

CudaModel::CudaModel(const ModelConfig& config)
    : config_(config),
      L_(config.total_tokens()),
      features_(int64_t{config.last_grid()} * config.last_grid() * config.tokenizer.z_channels) {}

CudaModel::~CudaModel() {
  if (main_stream_ != nullptr) {
    cudaStreamSynchronize(main_stream_);
    cudaStreamDestroy(main_stream_);
  }
}

absl::StatusOr<std::unique_ptr<CudaModel>> CudaModel::Load(const ModelFolder& folder,
                                                           const CudaEngineOptions& options) {
  HMAR_RETURN_IF_ERROR(CheckCudaLimits(folder.config, options));
  HMAR_RETURN_IF_ERROR(CheckDevice(options.device));
  HMAR_CUDA_RETURN_IF_ERROR(cudaSetDevice(options.device));
  std::unique_ptr<CudaModel> model(new CudaModel(folder.config));
  const int64_t S = folder.config.image_size;
  const int64_t most_of_an_image =
      2 * int64_t{folder.config.tokens_of_scale(folder.config.num_scales() - 1)};
  model->max_rows_ = std::max<int64_t>(options.max_step_rows, most_of_an_image);
  HMAR_ASSIGN_OR_RETURN(model->grids_, MakeGrids(folder.config));
  HMAR_CUDA_RETURN_IF_ERROR(
      cudaStreamCreateWithPriority(&model->main_stream_, cudaStreamNonBlocking, -1));
  WeightReader tokenizer(folder.tokenizer.get()), transformer(folder.transformer.get());
  HMAR_ASSIGN_OR_RETURN(model->quantizer_,
                        LoadQuantizer(folder.config, &tokenizer, &model->memory_));
  const auto decodes =
      static_cast<int>(std::clamp<int64_t>(kDecodePixels / (S * S), 1, kMaxDecodeBatch));
  HMAR_ASSIGN_OR_RETURN(model->decoder_,
                        CudaAutoencoder::Load(folder.config, CudaAutoencoder::Half::kDecoder,
                                              &tokenizer, decodes, &model->memory_));
  const auto encodes =
      static_cast<int>(std::clamp<int64_t>(kEncodePixels / (S * S), 1, kMaxEncodeBatch));
  HMAR_ASSIGN_OR_RETURN(model->encoder_,
                        CudaEncoder::Load(folder.config, model->grids_, model->quantizer_,
                                          &tokenizer, encodes, &model->memory_));
  HMAR_ASSIGN_OR_RETURN(
      model->transformer_,
      CudaTransformer::Load(folder.config, &transformer, options.precision, model->max_rows_,
                            &model->memory_, model->main_stream_));
  HMAR_RETURN_IF_ERROR(model->TakeSlots(options.max_images));
  return model;
}

int64_t CudaModel::SlotBytes() const {
  return 2 * features_ * static_cast<int64_t>(sizeof(float)) + L_ * 5 +
         grids_.most_tokens * int64_t{5};
}

absl::Status CudaModel::TakeSlots(uint32_t wanted) {
  size_t free = 0, total = 0;
  HMAR_CUDA_RETURN_IF_ERROR(cudaMemGetInfo(&free, &total));
  const int64_t S = config_.image_size;
  const int64_t each = SlotBytes() + S * S * kPictureBytesPerPixel;
  const int64_t fit = (static_cast<int64_t>(free) - kSpareBytes) / each;
  const int64_t most = wanted == 0 ? kMostImages : wanted;
  if (fit < 1 || (wanted != 0 && fit < wanted)) {
    return absl::ResourceExhaustedError(
        absl::StrCat("model '", config_.name, "': ", most, " images in flight take ",
                     (most * each) >> 20, " MiB; ", free >> 20, " of the device's ", total >> 20,
                     " MiB are free, and ", kSpareBytes >> 20, " are kept"));
  }
  max_images_ = static_cast<int>(std::min(most, fit));
  HMAR_ASSIGN_OR_RETURN(slots_.f_hat_PPZ, memory_.Allocate<float>(kSlots, max_images_ * features_));
  HMAR_ASSIGN_OR_RETURN(slots_.own_PPZ, memory_.Allocate<float>(kSlots, max_images_ * features_));
  HMAR_ASSIGN_OR_RETURN(slots_.tokens_L, memory_.Allocate<int32_t>(kSlots, max_images_ * L_));
  const int64_t n = grids_.most_tokens;
  HMAR_ASSIGN_OR_RETURN(slots_.confidence, memory_.Allocate<float>(kSlots, max_images_ * n));
  HMAR_ASSIGN_OR_RETURN(slots_.open, memory_.Allocate<uint8_t>(kSlots, max_images_ * n));
  HMAR_ASSIGN_OR_RETURN(slots_.edited_L, memory_.Allocate<uint8_t>(kSlots, max_images_ * L_));
  // A pass that draws nothing, because its logits are not finite, leaves valid tokens behind.
  HMAR_CUDA_RETURN_IF_ERROR(
      cudaMemsetAsync(slots_.tokens_L, 0, max_images_ * L_ * sizeof(int32_t), main_stream_));
  return absl::OkStatus();
}

absl::Status CudaModel::ClearSlot(int slot) {
  HMAR_CUDA_RETURN_IF_ERROR(cudaMemsetAsync(slots_.f_hat_PPZ + slot * features_, 0,
                                            features_ * sizeof(float), main_stream_));
  return absl::OkStatus();
}

absl::Status CudaModel::LayTokens(const kernels::TokenMapJob* jobs, int count) {
  HMAR_CUDA_RETURN_IF_ERROR(kernels::LayTokens(quantizer_, grids_, jobs, count, slots_.tokens_L, L_,
                                               kernels::LayMode::kAdd, slots_.f_hat_PPZ,
                                               main_stream_));
  return absl::OkStatus();
}

absl::Status CudaModel::RunEmbedding(const StepSizes& sizes, const StepTables& tables) {
  HMAR_CUDA_RETURN_IF_ERROR(kernels::LayTokens(quantizer_, grids_, tables.own_maps, sizes.own_maps,
                                               slots_.tokens_L, L_, kernels::LayMode::kWrite,
                                               slots_.own_PPZ, main_stream_));
  const kernels::EmbedState state = {slots_.f_hat_PPZ, slots_.own_PPZ, slots_.open};
  HMAR_CUDA_RETURN_IF_ERROR(kernels::EmbedRows(transformer_->embed(), state, grids_,
                                               tables.segments, tables.segment_of_row, sizes.rows(),
                                               transformer_->x_TC(), main_stream_));
  return absl::OkStatus();
}

absl::Status CudaModel::RunForward(const StepSizes& sizes, const StepTables& tables) {
  PackedRows rows;
  rows.ns_rows = sizes.ns_rows;
  rows.mask_rows = sizes.mask_rows;
  rows.tiles = tables.tiles;
  rows.ns_tiles = sizes.ns_tiles;
  rows.mask_tiles = sizes.mask_tiles;
  rows.class_of_row_T = tables.class_of_row;
  return transformer_->Forward(rows, main_stream_);
}

absl::Status CudaModel::RunStep(const StepSizes& sizes, const StepTables& tables, int32_t* failed) {
  HMAR_CUDA_RETURN_IF_ERROR(
      cudaMemsetAsync(failed, 0, sizes.images * sizeof(int32_t), main_stream_));
  HMAR_RETURN_IF_ERROR(RunEmbedding(sizes, tables));
  HMAR_RETURN_IF_ERROR(RunForward(sizes, tables));
  kernels::DrawState draw;
  draw.tokens_L = slots_.tokens_L;
  draw.L = L_;
  draw.confidence = slots_.confidence;
  draw.failed = failed;
  HMAR_CUDA_RETURN_IF_ERROR(
      kernels::DrawTokens(transformer_->logits_TV(), config_.tokenizer.vocab_size, tables.draws,
                          tables.image_of_token, sizes.drawn_tokens, grids_, draw, main_stream_));
  HMAR_CUDA_RETURN_IF_ERROR(kernels::ReopenLeastCertain(tables.reopened, sizes.reopened,
                                                        slots_.confidence, slots_.open,
                                                        grids_.most_tokens, main_stream_));
  return LayTokens(tables.settled_maps, sizes.settled_maps);
}

}  // namespace hmar
