// How CudaTransformer gets onto the device.

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "model/cuda/adaln_layout.h"
#include "model/cuda/cuda_transformer.h"

namespace hmar {
namespace {

constexpr char kWeights[] = "weights";
constexpr char kWorkspace[] = "workspace";

absl::StatusOr<const __nv_bfloat16*> UploadBf16(const std::string& name, WeightReader* weights,
                                                DeviceMemory* memory) {
  HMAR_ASSIGN_OR_RETURN(const std::vector<uint16_t> bits, weights->Bf16(name));
  HMAR_ASSIGN_OR_RETURN(uint16_t * data, memory->Upload<uint16_t>(kWeights, bits));
  return reinterpret_cast<const __nv_bfloat16*>(data);
}

absl::StatusOr<const __nv_bfloat16*> UploadRounded(absl::Span<const float> floats,
                                                   DeviceMemory* memory) {
  std::vector<uint16_t> bits(floats.size());
  std::transform(floats.begin(), floats.end(), bits.begin(), Bf16Bits);
  HMAR_ASSIGN_OR_RETURN(uint16_t * data, memory->Upload<uint16_t>(kWeights, bits));
  return reinterpret_cast<const __nv_bfloat16*>(data);
}

absl::StatusOr<const float*> UploadFloats(const std::string& name, WeightReader* weights,
                                          DeviceMemory* memory) {
  HMAR_ASSIGN_OR_RETURN(const std::vector<float> floats, weights->Floats(name));
  HMAR_ASSIGN_OR_RETURN(float* data, memory->Upload<float>(kWeights, floats));
  return data;
}

// A head: NAME.weight with NAME.bias, whose output is fp32.
absl::StatusOr<LinearWeights> LoadHead(const std::string& name, WeightReader* weights,
                                       DeviceMemory* memory) {
  const std::vector<int64_t>& shape = weights->shape(name + ".weight");
  LinearWeights layer;
  layer.N = shape[0];
  layer.K = shape[1];
  HMAR_ASSIGN_OR_RETURN(layer.weight_NK, UploadBf16(name + ".weight", weights, memory));
  HMAR_ASSIGN_OR_RETURN(layer.bias_N, UploadFloats(name + ".bias", weights, memory));
  return layer;
}

// (a, b) -> (b, a)
std::vector<float> Transposed(const std::vector<float>& x, int64_t a, int64_t b) {
  std::vector<float> y(x.size());
  for (int64_t i = 0; i < a; ++i) {
    for (int64_t j = 0; j < b; ++j) y[j * a + i] = x[i * b + j];
  }
  return y;
}

}  // namespace

CudaTransformer::CudaTransformer(const ModelConfig& config, Precision precision)
    : config_(config),
      precision_(precision),
      C_(config.transformer.embed_dim),
      H_(config.transformer.num_heads),
      F_(config.transformer.hidden()),
      V_(config.tokenizer.vocab_size) {}

absl::StatusOr<std::unique_ptr<CudaTransformer>> CudaTransformer::Load(
    const ModelConfig& config, WeightReader* weights, Precision precision, int64_t max_rows,
    DeviceMemory* memory, cudaStream_t stream) {
  std::unique_ptr<CudaTransformer> transformer(new CudaTransformer(config, precision));
  max_rows = RowsOfBuffer(max_rows);
  HMAR_ASSIGN_OR_RETURN(transformer->gemm_, Gemm::Create(max_rows, memory));
  HMAR_RETURN_IF_ERROR(transformer->LoadWeights(weights, memory));
  HMAR_RETURN_IF_ERROR(transformer->LoadEmbedding(weights, memory));
  HMAR_RETURN_IF_ERROR(transformer->ComputeClassVectors(weights, memory, stream));
  HMAR_RETURN_IF_ERROR(transformer->TakeActivations(max_rows, memory));
  HMAR_RETURN_IF_ERROR(transformer->Tune(max_rows, stream));
  return transformer;
}

std::vector<std::string> CudaTransformer::BlockNames() const {
  const int top = config_.transformer.n_layers_train;
  std::vector<std::string> names;
  for (int i = 0; i < config_.transformer.depth - top; ++i) {
    names.push_back(absl::StrCat("base_blocks.", i));
  }
  for (const std::string stack : {"ns_blocks.", "mask_blocks."}) {
    for (int i = 0; i < top; ++i) names.push_back(absl::StrCat(stack, i));
  }
  return names;
}

absl::Status CudaTransformer::LoadWeights(WeightReader* weights, DeviceMemory* memory) {
  const auto base =
      static_cast<size_t>(config_.transformer.depth - config_.transformer.n_layers_train);
  const auto top = static_cast<size_t>(config_.transformer.n_layers_train);
  const std::vector<std::string> names = BlockNames();
  for (size_t i = 0; i < names.size(); ++i) {
    HMAR_ASSIGN_OR_RETURN(Block block, LoadBlock(names[i], weights, memory));
    block.vectors = static_cast<int64_t>(i) * kBlockVectors * C_;
    (i < base ? base_ : i < base + top ? ns_ : mask_).push_back(block);
  }
  HMAR_ASSIGN_OR_RETURN(ns_head_, LoadHead("ns_head", weights, memory));
  HMAR_ASSIGN_OR_RETURN(mask_head_, LoadHead("mask_head", weights, memory));
  return absl::OkStatus();
}

absl::StatusOr<CudaTransformer::Block> CudaTransformer::LoadBlock(const std::string& name,
                                                                  WeightReader* weights,
                                                                  DeviceMemory* memory) {
  Block block;
  const std::string attn = name + ".attn.";
  HMAR_ASSIGN_OR_RETURN(std::vector<float> bias, weights->Floats(attn + "q_bias"));
  bias.resize(2 * C_, 0.0f);  // Keys have no bias.
  HMAR_ASSIGN_OR_RETURN(const std::vector<float> v_bias, weights->Floats(attn + "v_bias"));
  bias.insert(bias.end(), v_bias.begin(), v_bias.end());
  HMAR_ASSIGN_OR_RETURN(block.qkv, LoadBlockLinear(attn + "mat_qkv.weight", bias, weights, memory));
  const std::pair<std::string, LinearWeights*> others[] = {{attn + "proj", &block.proj},
                                                           {name + ".ffn.fc1", &block.fc1},
                                                           {name + ".ffn.fc2", &block.fc2}};
  for (const auto& [layer, at] : others) {
    HMAR_ASSIGN_OR_RETURN(bias, weights->Floats(layer + ".bias"));
    HMAR_ASSIGN_OR_RETURN(*at, LoadBlockLinear(layer + ".weight", bias, weights, memory));
  }
  if (config_.transformer.attn_l2_norm) {
    // One learned temperature a head, stored as a logarithm, at most 100 (VAR, section 3.3).
    HMAR_ASSIGN_OR_RETURN(std::vector<float> scale, weights->Floats(attn + "scale_mul_1H11"));
    for (float& s : scale) s = std::exp(std::min(s, std::log(100.0f)));
    HMAR_ASSIGN_OR_RETURN(block.head_scale_H, memory->Upload<float>(kWeights, scale));
  }
  return block;
}

// In the transformer's precision.
absl::StatusOr<LinearWeights> CudaTransformer::LoadBlockLinear(const std::string& weight,
                                                               absl::Span<const float> bias,
                                                               WeightReader* weights,
                                                               DeviceMemory* memory) {
  const std::vector<int64_t>& shape = weights->shape(weight);
  LinearWeights layer;
  layer.N = shape[0];
  layer.K = shape[1];
  HMAR_ASSIGN_OR_RETURN(layer.bias_N, UploadRounded(bias, memory));
  if (!fp8()) {
    HMAR_ASSIGN_OR_RETURN(layer.weight_NK, UploadBf16(weight, weights, memory));
    return layer;
  }
  HMAR_ASSIGN_OR_RETURN(const std::vector<uint16_t> bits, weights->Bf16(weight));
  HMAR_ASSIGN_OR_RETURN(const ScratchMemory scratch, ScratchMemory::Take(layer.N * layer.K * 2));
  HMAR_CUDA_RETURN_IF_ERROR(cudaMemcpy(scratch.as<uint16_t>(), bits.data(), layer.N * layer.K * 2,
                                       cudaMemcpyHostToDevice));
  kernels::Fp8Rows rows;
  HMAR_ASSIGN_OR_RETURN(rows.rows_TC,
                        memory->Allocate<__nv_fp8_storage_t>(kWeights, layer.N * layer.K));
  HMAR_ASSIGN_OR_RETURN(rows.scale_T, memory->Allocate<float>(kWeights, layer.N));
  HMAR_CUDA_RETURN_IF_ERROR(kernels::QuantizeRows(scratch.as<__nv_bfloat16>(), layer.N,
                                                  static_cast<int>(layer.K), rows, nullptr));
  HMAR_CUDA_RETURN_IF_ERROR(cudaStreamSynchronize(nullptr));
  layer.weight_NK = rows.rows_TC;
  layer.scale_N = rows.scale_T;
  return layer;
}

absl::Status CudaTransformer::LoadEmbedding(WeightReader* weights, DeviceMemory* memory) {
  embed_.C = static_cast<int>(C_);
  embed_.Z = config_.tokenizer.z_channels;
  HMAR_ASSIGN_OR_RETURN(const std::vector<float> word, weights->Floats("word_embed.weight"));
  HMAR_ASSIGN_OR_RETURN(embed_.word_ZC,
                        memory->Upload<float>(kWeights, Transposed(word, C_, embed_.Z)));
  HMAR_ASSIGN_OR_RETURN(std::vector<float> position, weights->Floats("pos_1LC"));
  HMAR_ASSIGN_OR_RETURN(const std::vector<float> level, weights->Floats("lvl_embed.weight"));
  int64_t row = 0;
  for (int k = 0; k < config_.num_scales(); ++k) {
    for (int i = 0; i < config_.tokens_of_scale(k); ++i, ++row) {
      for (int64_t c = 0; c < C_; ++c) position[row * C_ + c] += level[k * C_ + c];
    }
  }
  HMAR_ASSIGN_OR_RETURN(embed_.position_LC, memory->Upload<float>(kWeights, position));
  const std::pair<const char*, const float**> plain[] = {{"word_embed_bias", &embed_.word_bias_C},
                                                         {"mask_embed.weight", &embed_.mask_C},
                                                         {"class_emb.weight", &embed_.class_NC},
                                                         {"pos_start", &embed_.pos_start_C}};
  for (const auto& [name, at] : plain) {
    HMAR_ASSIGN_OR_RETURN(*at, UploadFloats(name, weights, memory));
  }
  return absl::OkStatus();
}

absl::Status CudaTransformer::TakeActivations(int64_t max_rows, DeviceMemory* memory) {
  const auto take = [&]<typename T>(int64_t width, RowBuffer<T>* buffer) -> absl::Status {
    HMAR_ASSIGN_OR_RETURN(T* const data, memory->Allocate<T>(kWorkspace, max_rows * width));
    *buffer = RowBuffer<T>(data, width);
    return absl::OkStatus();
  };
  HMAR_ASSIGN_OR_RETURN(x_, memory->Allocate<__nv_bfloat16>(kWorkspace, max_rows * C_));
  HMAR_ASSIGN_OR_RETURN(logits_, memory->Allocate<float>(kWorkspace, max_rows * V_));
  HMAR_RETURN_IF_ERROR(take(C_, &normed_));
  HMAR_RETURN_IF_ERROR(take(C_, &branch_));
  HMAR_RETURN_IF_ERROR(take(std::max(3 * C_, F_), &wide_));
  if (!fp8()) return absl::OkStatus();
  HMAR_RETURN_IF_ERROR(take(std::max(C_, F_), &fp8_));
  return take(1, &fp8_scale_);
}

// All blocks have the same shapes, and so have the heads.
absl::Status CudaTransformer::Tune(int64_t max_rows, cudaStream_t stream) {
  const auto all = [this](LinearWeights Block::*layer) {
    std::vector<LinearWeights> layers;
    for (const auto* stack : {&base_, &ns_, &mask_}) {
      for (const Block& block : *stack) layers.push_back(block.*layer);
    }
    return layers;
  };
  const RowRange whole = {0, max_rows};
  __nv_bfloat16* const normed = normed_.Of(whole, C_);
  __nv_bfloat16* const branch = branch_.Of(whole, C_);
  __nv_bfloat16* const hidden = wide_.Of(whole, F_);
  HMAR_RETURN_IF_ERROR(FillRandom(normed, max_rows * C_, stream));
  HMAR_ASSIGN_OR_RETURN(const GemmInput narrow, Quantized(normed, whole, C_, stream));
  HMAR_RETURN_IF_ERROR(
      gemm_->Tune(all(&Block::qkv), Epilogue::kBias, narrow, wide_.Of(whole, 3 * C_), stream));
  HMAR_RETURN_IF_ERROR(gemm_->Tune(all(&Block::proj), Epilogue::kBias, narrow, branch, stream));
  HMAR_RETURN_IF_ERROR(gemm_->Tune(all(&Block::fc1), Epilogue::kBiasGelu, narrow, hidden, stream));
  HMAR_RETURN_IF_ERROR(
      gemm_->Tune({ns_head_, mask_head_}, Epilogue::kBias, normed, logits_, stream));
  HMAR_RETURN_IF_ERROR(FillRandom(hidden, max_rows * F_, stream));
  HMAR_ASSIGN_OR_RETURN(const GemmInput wide, Quantized(hidden, whole, F_, stream));
  return gemm_->Tune(all(&Block::fc2), Epilogue::kBias, wide, branch, stream);
}

}  // namespace hmar
