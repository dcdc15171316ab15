#ifndef HMAR_MODEL_TENSOR_TABLE_H_
#define HMAR_MODEL_TENSOR_TABLE_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "model/checkpoint.h"
#include "model/config.h"

namespace hmar {

// Every weight a model must have, by published name, with its shape. One row a weight: the checks,
// the parameter count and the loaders all read these.
using TensorTable = std::map<std::string, std::vector<int64_t>>;

// The transformer's: class_emb.weight (classes + 1, C), base_blocks.N.attn.mat_qkv.weight (3C, C),
// ... `scale_mul_1H11` only with cosine attention, ada_lin a block or ada_gss and shared_ada_lin as
// shared_aln says.
TensorTable TransformerTable(const ModelConfig& config);

// The tokenizer's: encoder.*, decoder.*, quant_conv.*, post_quant_conv.*, quantize.*. Attention
// blocks stand after the res blocks of the last level and in the middle, as in the published
// tokenizer; a block of which `has` holds nothing is left out, because published variants do so
// (it is the identity then).
TensorTable TokenizerTable(const ModelConfig& config, const Checkpoint& has);

// OK if the checkpoint holds exactly the table's tensors, with the table's shapes and a weight type
// (the published files' buffers, lvl_1L, attn_bias_for_masking, zero_k_bias and ema_vocab_hit_SV,
// may be there too). Otherwise INVALID_ARGUMENT that names the file, the tensor, what was found and
// what was wanted, and how many further tensors are wrong.
absl::Status CheckTensors(const Checkpoint& checkpoint, const TensorTable& table);

// Sum of the table's element counts.
uint64_t CountParameters(const TensorTable& table);

}  // namespace hmar

#endif  // HMAR_MODEL_TENSOR_TABLE_H_
