#include "model/torch/transformer.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"

namespace hmar {
namespace {

// The six AdaLN vectors of a block, in the order of the checkpoint.
enum BlockVector { kGamma1, kGamma2, kScale1, kScale2, kShift1, kShift2, kBlockVectors };
constexpr int kHeadVectors = 2;  // Scale, shift.

std::vector<float> ToVector(const at::Tensor& t) {
  const at::Tensor flat = t.contiguous();
  return {flat.data_ptr<float>(), flat.data_ptr<float>() + flat.numel()};
}

}  // namespace

at::Tensor Activations::Rows(at::Tensor* buffer, int64_t T, int64_t width) {
  if (!buffer->defined() || buffer->size(0) < T || buffer->size(1) != width)
    *buffer = at::empty({T, width}, at::kFloat);
  return buffer->narrow(0, 0, T);
}

Transformer::Transformer(const ModelConfig& config, Weights weights)
    : config_(config),
      w_(std::move(weights)),
      C_(config.transformer.embed_dim),
      H_(config.transformer.num_heads),
      null_class_(static_cast<int>(config.classes.size())) {
  const int top = config.transformer.n_layers_train;
  int index = 0;
  const auto load_stack = [&](const std::string& stack, int count, std::vector<Block>* blocks) {
    for (int i = 0; i < count; ++i)
      blocks->push_back(LoadBlock(absl::StrCat(stack, "_blocks.", i), index++));
  };
  load_stack("base", config.transformer.depth - top, &base_);
  load_stack("ns", top, &ns_);
  load_stack("mask", top, &mask_);
  ns_head_ = TakeLinear("ns_head");
  mask_head_ = TakeLinear("mask_head");
  word_embed_ = PackedLinear(w_.Take("word_embed.weight"), at::Tensor());

  std::vector<at::Tensor> levels;
  for (int k = 0; k < config.num_scales(); ++k) {
    levels.push_back(w_["lvl_embed.weight"][k].expand({config.tokens_of_scale(k), C_}));
  }
  position_LC_ = at::cat(levels).add_(w_["pos_1LC"][0]);
  class_emb_NC_ = w_["class_emb.weight"];
  pos_start_C_ = w_["pos_start"].reshape({C_});
  word_embed_bias_C_ = w_["word_embed_bias"];
  mask_embed_C_ = w_["mask_embed.weight"].reshape({C_});
  class_vectors_.resize(config.classes.size() + 1);
}

uint64_t Transformer::bytes() const {
  uint64_t bytes = w_.bytes() + position_LC_.nbytes();  // The other tensors are views of w_'s.
  for (const PackedLinear* linear : {&ns_head_, &mask_head_, &word_embed_})
    bytes += linear->bytes();
  for (const auto* stack : {&base_, &ns_, &mask_}) {
    for (const Block& block : *stack) {
      bytes += block.qkv.bytes() + block.proj.bytes() + block.fc1.bytes() + block.fc2.bytes();
    }
  }
  return bytes;
}

uint64_t Transformer::class_vectors_bytes() const {
  const size_t vectors =
      (base_.size() + ns_.size() + mask_.size()) * kBlockVectors + 2 * kHeadVectors;
  return class_vectors_.size() * vectors * C_ * sizeof(float);
}

PackedLinear Transformer::TakeLinear(const std::string& name) {
  return PackedLinear(w_.Take(name + ".weight"), w_[name + ".bias"]);
}

Transformer::Block Transformer::LoadBlock(const std::string& name, int index) {
  Block block;
  block.name = name;
  block.vectors = index * kBlockVectors * C_;
  const std::string attn = name + ".attn.";
  const at::Tensor no_k_bias = at::zeros({C_}, at::kFloat);
  block.qkv = PackedLinear(w_.Take(attn + "mat_qkv.weight"),
                           at::cat({w_[attn + "q_bias"], no_k_bias, w_[attn + "v_bias"]}));
  block.proj = TakeLinear(attn + "proj");
  block.fc1 = TakeLinear(name + ".ffn.fc1");
  block.fc2 = TakeLinear(name + ".ffn.fc2");
  if (config_.transformer.attn_l2_norm) {
    // One learned temperature a head, stored as a logarithm, at most 100 (VAR, section 3.3).
    block.head_scale =
        ToVector(w_[attn + "scale_mul_1H11"].clamp_max(std::log(100.0)).exp().reshape({H_}));
  }
  return block;
}

at::Tensor Transformer::BlockVectors(const std::string& name,
                                     const at::Tensor& activated_1C) const {
  at::Tensor vectors;
  if (config_.transformer.shared_aln) {
    vectors = at::linear(activated_1C, w_["shared_ada_lin.1.weight"], w_["shared_ada_lin.1.bias"])
                  .view({6, C_});
    vectors = vectors.add(w_[name + ".ada_gss"].view({6, C_}));
  } else {
    vectors = at::linear(activated_1C, w_[name + ".ada_lin.1.weight"], w_[name + ".ada_lin.1.bias"])
                  .view({6, C_});
  }
  vectors.narrow(0, kScale1, 2).add_(1);
  return vectors.reshape({-1});
}

at::Tensor Transformer::ComputeClassVectors(int class_id) const {
  const at::Tensor activated = at::silu(class_emb_NC_.narrow(0, class_id, 1));
  std::vector<at::Tensor> parts;
  for (const auto* stack : {&base_, &ns_, &mask_}) {
    for (const Block& block : *stack) parts.push_back(BlockVectors(block.name, activated));
  }
  for (const std::string head : {"ns_head_nm", "mask_head_nm"}) {
    const at::Tensor vectors =
        at::linear(activated, w_[head + ".ada_lin.1.weight"], w_[head + ".ada_lin.1.bias"])
            .view({kHeadVectors, C_});
    vectors[0].add_(1);
    parts.push_back(vectors.reshape({-1}));
  }
  return at::cat(parts);
}

const float* Transformer::ClassVectors(int class_id) {
  at::Tensor& vectors = class_vectors_[class_id];
  if (!vectors.defined()) vectors = ComputeClassVectors(class_id);
  return vectors.data_ptr<float>();
}

void Transformer::Forward(PackedBatch* batch, Activations* activations) const {
  RunStack(base_, batch, {batch->ns, batch->mask}, activations);
  if (batch->ns.rows > 0) RunStack(ns_, batch, {batch->ns}, activations);
  if (batch->mask.rows > 0) RunStack(mask_, batch, {batch->mask}, activations);
}

// Blocks over the adjacent row ranges `ranges`. Each residual addition is fused with the LayerNorm
// that follows it, which for the feed-forward part is the next block's.
void Transformer::RunStack(const std::vector<Block>& stack, PackedBatch* batch,
                           const std::vector<RowRange>& ranges, Activations* activations) const {
  int64_t T = 0;
  for (const RowRange& range : ranges) T += range.rows;
  const int64_t first_row = ranges.front().first_row;
  const float eps = static_cast<float>(config_.transformer.norm_eps);
  const RowVectors vectors{batch->by_row.data() + first_row};
  float* x = batch->x_TC.data_ptr<float>() + first_row * C_;
  at::Tensor normed = Activations::Rows(&activations->normed_TC, T, C_);
  at::Tensor qkv = Activations::Rows(&activations->qkv_T3C, T, 3 * C_);
  at::Tensor attended = Activations::Rows(&activations->attended_TC, T, C_);
  at::Tensor projected = Activations::Rows(&activations->projected_TC, T, C_);
  at::Tensor hidden = Activations::Rows(&activations->hidden_TF, T, config_.transformer.hidden());
  float* normed_data = normed.data_ptr<float>();
  float* projected_data = projected.data_ptr<float>();
  const auto modulation = [this](const Block& block, int scale, int shift) {
    return Modulation{block.vectors + scale * C_, block.vectors + shift * C_};
  };

  NormModulate(x, normed_data, T, C_, eps, vectors, modulation(stack.front(), kScale1, kShift1));
  for (size_t i = 0; i < stack.size(); ++i) {
    const Block& block = stack[i];
    block.qkv.Apply(normed_data, T, qkv.data_ptr<float>());
    Attend(block, qkv, first_row, ranges, &attended);
    block.proj.Apply(attended.data_ptr<float>(), T, projected_data);
    GateNormModulate(x, projected_data, normed_data, T, C_, eps, vectors,
                     block.vectors + kGamma1 * C_, modulation(block, kScale2, kShift2));
    block.fc1.Apply(normed_data, T, hidden.data_ptr<float>());
    Gelu(hidden.data_ptr<float>(), hidden.numel());
    block.fc2.Apply(hidden.data_ptr<float>(), T, projected_data);
    const int64_t gamma2 = block.vectors + kGamma2 * C_;
    if (i + 1 < stack.size()) {
      GateNormModulate(x, projected_data, normed_data, T, C_, eps, vectors, gamma2,
                       modulation(stack[i + 1], kScale1, kShift1));
    } else {
      Gate(x, projected_data, T, C_, vectors, gamma2);
    }
  }
}

void Transformer::Attend(const Block& block, const at::Tensor& qkv_T3C, int64_t first_row,
                         const std::vector<RowRange>& ranges, at::Tensor* attended_TC) const {
  const int64_t D = C_ / H_;
  double scale = 0.25 / std::sqrt(static_cast<double>(D));
  if (config_.transformer.attn_l2_norm) {
    NormalizeQk(qkv_T3C.data_ptr<float>(), qkv_T3C.size(0), H_, D, block.head_scale.data());
    scale = 1;
  }
  for (const RowRange& range : ranges) {
    for (const SegmentGroup& group : range.groups) {
      const int64_t row = group.first_row - first_row;
      const auto qkv = qkv_T3C.narrow(0, row, group.rows())
                           .view({group.segments, group.tokens, 3, H_, D})
                           .permute({2, 0, 3, 1, 4});  // Each (segments, H, n, D).
      const at::Tensor out =
          at::scaled_dot_product_attention(qkv[0], qkv[1], qkv[2], {}, 0.0, false, scale);
      attended_TC->narrow(0, row, group.rows())
          .view({group.segments, group.tokens, H_, D})
          .copy_(out.transpose(1, 2));
    }
  }
}

at::Tensor Transformer::Logits(Head head, const PackedBatch& batch, int64_t first_row, int64_t rows,
                               Activations* activations) const {
  const bool next_scale = head == Head::kNextScale;
  const int64_t blocks = static_cast<int64_t>(base_.size() + ns_.size() + mask_.size());
  const int64_t scale = (blocks * kBlockVectors + (next_scale ? 0 : kHeadVectors)) * C_;
  at::Tensor normed = Activations::Rows(&activations->normed_TC, rows, C_);
  NormModulate(batch.x_TC.data_ptr<float>() + first_row * C_, normed.data_ptr<float>(), rows, C_,
               static_cast<float>(config_.transformer.norm_eps), {batch.by_row.data() + first_row},
               {scale, scale + C_});
  return (next_scale ? ns_head_ : mask_head_)(normed);
}

}  // namespace hmar
