#ifndef HMAR_MODEL_TORCH_TRANSFORMER_H_
#define HMAR_MODEL_TORCH_TRANSFORMER_H_

#include <string>
#include <vector>

#include "model/config.h"
#include "model/torch/aten.h"
#include "model/torch/packed_batch.h"
#include "model/torch/packed_linear.h"
#include "model/torch/row_ops.h"
#include "model/torch/weights.h"

namespace hmar {

// Buffers of a forward, kept between steps so that a step in steady state allocates nothing large.
// Letters as in transformer.h; F is the width of the feed-forward part. Contents mean nothing
// between calls.
struct Activations {
  at::Tensor normed_TC, qkv_T3C, attended_TC, projected_TC, hidden_TF;

  // The first T rows of a buffer with `width` columns, grown if need be.
  static at::Tensor Rows(at::Tensor* buffer, int64_t T, int64_t width);
};

// HMAR's transformer (arXiv 2506.04421, section 4) in fp32 on the CPU: base blocks over all rows,
// then ns blocks and mask blocks over their own. T rows, C width, H heads, D = C / H, V codebook
// size. Not thread-safe; needs an InferenceMode guard on the calling thread.
class Transformer {
 public:
  enum class Head { kNextScale, kMask };

  Transformer(const ModelConfig& config, Weights weights);

  int null_class() const { return null_class_; }  // "No class": the last row of class_emb.

  // A class's AdaLN vectors: for each block gamma1, gamma2, 1 + scale1, 1 + scale2, shift1, shift2,
  // then 1 + scale and shift of each head; C floats each. Computed once a class; the pointer stays
  // good for the transformer's life.
  const float* ClassVectors(int class_id);

  uint64_t bytes() const;                // Of all weights.
  uint64_t class_vectors_bytes() const;  // Of every class's AdaLN vectors, once all were computed.

  // Runs the blocks over batch->x_TC in place.
  void Forward(PackedBatch* batch, Activations* activations) const;

  // Logits (rows, V) of the batch's rows [first_row, first_row + rows) after Forward. REQUIRES:
  // rows of one head.
  at::Tensor Logits(Head head, const PackedBatch& batch, int64_t first_row, int64_t rows,
                    Activations* activations) const;

  const at::Tensor& class_embedding() const { return class_emb_NC_; }  // (classes + 1, C)
  const at::Tensor& position() const {
    return position_LC_;
  }  // Level + position embedding, (L, C).
  const at::Tensor& pos_start() const { return pos_start_C_; }              // (C)
  const PackedLinear& word_embed() const { return word_embed_; }            // Z -> C, without bias.
  const at::Tensor& word_embed_bias() const { return word_embed_bias_C_; }  // (C)
  const at::Tensor& mask_embed() const { return mask_embed_C_; }            // (C)

 private:
  struct Block {
    int64_t vectors = 0;  // Offset of its six AdaLN vectors in a class's vectors.
    PackedLinear qkv, proj, fc1, fc2;
    std::vector<float> head_scale;  // (H); empty: plain attention.
    std::string name;
  };

  Block LoadBlock(const std::string& name, int index);
  PackedLinear TakeLinear(const std::string& name);
  at::Tensor ComputeClassVectors(int class_id) const;
  at::Tensor BlockVectors(const std::string& name, const at::Tensor& activated_1C) const;
  void RunStack(const std::vector<Block>& stack, PackedBatch* batch,
                const std::vector<RowRange>& ranges, Activations* activations) const;
  void Attend(const Block& block, const at::Tensor& qkv_T3C, int64_t first_row,
              const std::vector<RowRange>& ranges, at::Tensor* attended_TC) const;

  ModelConfig config_;
  Weights w_;
  int64_t C_, H_;
  int null_class_;
  std::vector<Block> base_, ns_, mask_;
  PackedLinear ns_head_, mask_head_, word_embed_;
  at::Tensor class_emb_NC_, position_LC_, pos_start_C_, word_embed_bias_C_, mask_embed_C_;
  std::vector<at::Tensor> class_vectors_;  // By class id; undefined until first asked for.
};

}  // namespace hmar

#endif  // HMAR_MODEL_TORCH_TRANSFORMER_H_
