#ifndef HMAR_MODEL_CUDA_CUDA_TRANSFORMER_H_
#define HMAR_MODEL_CUDA_CUDA_TRANSFORMER_H_

#include <cuda_bf16.h>
#include <cuda_runtime_api.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "kernels/embed.h"
#include "kernels/row_norm.h"
#include "kernels/segment_attention.h"
#include "model/config.h"
#include "model/cuda/device_memory.h"
#include "model/cuda/gemm.h"
#include "model/cuda/row_buffer.h"
#include "model/cuda/weight_reader.h"
#include "model/cuda_engine.h"

namespace hmar {

// A step's rows as the transformer sees them: next-scale rows, then mask rows. Pointers are the
// device's.
struct PackedRows {
  int64_t ns_rows = 0;
  int64_t mask_rows = 0;
  const kernels::AttentionTile* tiles = nullptr;  // Those of the next-scale rows first.
  int ns_tiles = 0;
  int mask_tiles = 0;
  const int32_t* class_of_row_T = nullptr;

  int64_t rows() const { return ns_rows + mask_rows; }  // T
};

// HMAR's transformer (arXiv 2506.04421, section 4) on a GPU: bf16 weights and activations, fp32
// sums. AdaLN vectors of every class are computed at load, because they depend on nothing else, and
// their weights, a third of the parameters, are dropped. T rows, C width, H heads, V codebook size.
// Not thread-safe.
class CudaTransformer {
 public:
  // Uploads the weights, computes the class vectors, takes activations for max_rows rows.
  // FAILED_PRECONDITION: a layer that no kernel takes. REQUIRES: CheckCudaLimits.
  static absl::StatusOr<std::unique_ptr<CudaTransformer>> Load(
      const ModelConfig& config, WeightReader* weights, Precision precision, int64_t max_rows,
      DeviceMemory* memory, cudaStream_t stream);

  // Where Forward finds its input: x (max_rows, C).
  __nv_bfloat16* x_TC() const { return x_; }

  const kernels::EmbedWeights& embed() const { return embed_; }

  // Runs the blocks over x (T, C), which it overwrites, then the heads: logits (T, V) fp32, in rows
  // as x. Asynchronous.
  absl::Status Forward(const PackedRows& rows, cudaStream_t stream);

  const float* logits_TV() const { return logits_; }

 private:
  struct Block {
    int64_t vectors = 0;  // Offset of its six AdaLN vectors in a class's.
    LinearWeights qkv, proj, fc1, fc2;
    const float* head_scale_H = nullptr;  // Null: plain attention.
  };
  // Rows of the step and their attention tiles.
  struct Range : RowRange {
    const kernels::AttentionTile* tiles;
    int tile_count;
  };

  CudaTransformer(const ModelConfig& config, Precision precision);
  absl::Status LoadWeights(WeightReader* weights, DeviceMemory* memory);
  absl::StatusOr<LinearWeights> LoadBlockLinear(const std::string& weight,
                                                absl::Span<const float> bias, WeightReader* weights,
                                                DeviceMemory* memory);
  absl::Status LoadEmbedding(WeightReader* weights, DeviceMemory* memory);
  absl::StatusOr<Block> LoadBlock(const std::string& name, WeightReader* weights,
                                  DeviceMemory* memory);
  absl::Status ComputeClassVectors(WeightReader* weights, DeviceMemory* memory,
                                   cudaStream_t stream);
  absl::Status TakeActivations(int64_t max_rows, DeviceMemory* memory);
  absl::Status Tune(int64_t max_rows, cudaStream_t stream);

  std::vector<std::string> BlockNames() const;
  kernels::NormModulation Modulation(int64_t scale, int64_t shift) const;
  kernels::NormModulation Before(const Block& block, bool feed_forward) const;
  kernels::NormModulation BeforeHead(bool mask) const;
  kernels::ClassVectors ClassesOf(const PackedRows& rows, const RowRange& range) const;
  bool fp8() const { return precision_ == Precision::kFp8; }
  __nv_bfloat16* XOf(const RowRange& range) const { return x_ + range.first * C_; }
  kernels::Fp8Rows Fp8Of(const RowRange& range, int64_t width) const;
  GemmInput Normed(const RowRange& range) const;
  absl::StatusOr<GemmInput> Quantized(const __nv_bfloat16* x, const RowRange& range, int64_t width,
                                      cudaStream_t stream) const;
  absl::Status RunAttention(const Block& block, const Range& range, cudaStream_t stream);
  absl::Status RunStack(const std::vector<Block>& stack, const PackedRows& rows, const Range& range,
                        cudaStream_t stream);
  absl::Status EnterStack(const std::vector<Block>& stack, const PackedRows& rows, const Range& all,
                          const Range& range, cudaStream_t stream);
  absl::Status RunTop(const std::vector<Block>& stack, const LinearWeights& head, bool mask,
                      const PackedRows& rows, const Range& range, cudaStream_t stream);
  absl::Status NormFirst(const Block& block, const PackedRows& rows, const Range& range,
                         cudaStream_t stream);
  absl::Status GateThenNorm(const __nv_bfloat16* branch, const PackedRows& rows, const Range& range,
                            int64_t gamma, const kernels::NormModulation& next, bool to_fp8,
                            cudaStream_t stream);

  const ModelConfig config_;
  const Precision precision_;
  const int64_t C_, H_, F_, V_;
  std::unique_ptr<Gemm> gemm_;
  std::vector<Block> base_, ns_, mask_;
  LinearWeights ns_head_, mask_head_;
  kernels::EmbedWeights embed_;
  const __nv_bfloat16* class_vectors_ = nullptr;
  int64_t class_stride_ = 0;

  // Activations. x and logits in the step's rows, (max_rows, C) and (max_rows, V): only kernels
  // that keep to their rows write them. The others, which layers write, by range; `wide` holds q,
  // k, v (3 C) or the feed-forward part's hidden layer (F).
  __nv_bfloat16* x_ = nullptr;
  float* logits_ = nullptr;
  RowBuffer<__nv_bfloat16> normed_, branch_, wide_;
  RowBuffer<__nv_fp8_storage_t> fp8_;  // What the blocks' layers read with fp8, C or F wide.
  RowBuffer<float> fp8_scale_;         // A scale a row.
};

}  // namespace hmar

#endif  // HMAR_MODEL_CUDA_CUDA_TRANSFORMER_H_
