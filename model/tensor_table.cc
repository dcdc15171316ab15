#include "model/tensor_table.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace hmar {
namespace {

// ---------------------------------------------------------------- transformer

void AddLinear(const std::string& name, int64_t in, int64_t out, TensorTable* table) {
  (*table)[name + ".weight"] = {out, in};
  (*table)[name + ".bias"] = {out};
}

void AddBlock(const std::string& name, const TransformerConfig& t, TensorTable* table) {
  const int64_t C = t.embed_dim;
  if (t.attn_l2_norm) (*table)[name + ".attn.scale_mul_1H11"] = {1, t.num_heads, 1, 1};
  (*table)[name + ".attn.q_bias"] = {C};
  (*table)[name + ".attn.v_bias"] = {C};
  (*table)[name + ".attn.mat_qkv.weight"] = {3 * C, C};
  AddLinear(name + ".attn.proj", C, C, table);
  AddLinear(name + ".ffn.fc1", C, t.hidden(), table);
  AddLinear(name + ".ffn.fc2", t.hidden(), C, table);
  if (t.shared_aln) {
    (*table)[name + ".ada_gss"] = {1, 1, 6, C};
  } else {
    AddLinear(name + ".ada_lin.1", C, 6 * C, table);
  }
}

void AddStack(const std::string& name, int blocks, const TransformerConfig& t, TensorTable* table) {
  for (int i = 0; i < blocks; ++i) AddBlock(absl::StrCat(name, ".", i), t, table);
}

// ---------------------------------------------------------------- tokenizer

// Writes the rows of one tokenizer, in the order in which an image passes its parts.
class TokenizerRows {
 public:
  TokenizerRows(const TokenizerConfig& vq, const Checkpoint& has, TensorTable* table)
      : vq_(vq), levels_(static_cast<int>(vq.ch_mult.size())), has_(has), table_(table) {}

  void Encoder() {
    Conv("encoder.conv_in", 3, vq_.ch, 3);
    int width = vq_.ch;
    for (int i = 0; i < levels_; ++i) {
      const std::string level = absl::StrCat("encoder.down.", i);
      width = Level(level, i, width, vq_.num_res_blocks);
      if (i + 1 < levels_) Conv(level + ".downsample.conv", width, width, 3);
    }
    Middle("encoder.mid", width);
    Norm("encoder.norm_out", width);
    Conv("encoder.conv_out", width, vq_.z_channels, 3);
  }

  void Decoder() {
    int width = vq_.ch * vq_.ch_mult.back();
    Conv("decoder.conv_in", vq_.z_channels, width, 3);
    Middle("decoder.mid", width);
    for (int i = levels_ - 1; i >= 0; --i) {
      const std::string level = absl::StrCat("decoder.up.", i);
      width = Level(level, i, width, vq_.num_res_blocks + 1);
      if (i > 0) Conv(level + ".upsample.conv", width, width, 3);
    }
    Norm("decoder.norm_out", width);
    Conv("decoder.conv_out", width, 3, 3);
  }

  void Quantizer() {
    (*table_)["quantize.embedding.weight"] = {vq_.vocab_size, vq_.z_channels};
    Conv("quant_conv", vq_.z_channels, vq_.z_channels, 3);
    Conv("post_quant_conv", vq_.z_channels, vq_.z_channels, 3);
    for (int i = 0; i < vq_.share_quant_resi; ++i) {
      Conv(absl::StrCat("quantize.quant_resi.qresi_ls.", i), vq_.z_channels, vq_.z_channels, 3);
    }
  }

 private:
  void Norm(const std::string& name, int64_t width) {
    (*table_)[name + ".weight"] = {width};
    (*table_)[name + ".bias"] = {width};
  }

  void Conv(const std::string& name, int64_t in, int64_t out, int64_t kernel) {
    (*table_)[name + ".weight"] = {out, in, kernel, kernel};
    (*table_)[name + ".bias"] = {out};
  }

  void ResBlock(const std::string& name, int64_t in, int64_t out) {
    Norm(name + ".norm1", in);
    Conv(name + ".conv1", in, out, 3);
    Norm(name + ".norm2", out);
    Conv(name + ".conv2", out, out, 3);
    if (in != out) Conv(name + ".nin_shortcut", in, out, 1);
  }

  void Attention(const std::string& name, int64_t width) {
    const auto first = has_.tensors().lower_bound(name + ".");
    if (first == has_.tensors().end() || !absl::StartsWith(first->first, name + ".")) return;
    Norm(name + ".norm", width);
    Conv(name + ".qkv", width, 3 * width, 1);
    Conv(name + ".proj_out", width, width, 1);
  }

  void Middle(const std::string& name, int64_t width) {
    ResBlock(name + ".block_1", width, width);
    Attention(name + ".attn_1", width);
    ResBlock(name + ".block_2", width, width);
  }

  // The level's res blocks, from `width` channels on; returns the level's own width.
  int Level(const std::string& name, int level, int width, int blocks) {
    const int out = vq_.ch * vq_.ch_mult[level];
    for (int j = 0; j < blocks; ++j) {
      ResBlock(absl::StrCat(name, ".block.", j), j == 0 ? width : out, out);
      if (level + 1 == levels_) Attention(absl::StrCat(name, ".attn.", j), out);
    }
    return out;
  }

  const TokenizerConfig& vq_;
  const int levels_;
  const Checkpoint& has_;
  TensorTable* const table_;
};

// ---------------------------------------------------------------- checks

// What training keeps in a checkpoint besides weights.
bool IsKnownBuffer(const std::string& name) {
  const std::string last = name.substr(name.rfind('.') + 1);
  return last == "lvl_1L" || last == "attn_bias_for_masking" || last == "zero_k_bias" ||
         last == "ema_vocab_hit_SV";
}

// What is wrong with the file's tensor for a row of the table; empty: nothing.
std::string WrongTensor(const TensorInfo& found, const std::vector<int64_t>& wanted) {
  if (found.shape != wanted) {
    return absl::StrCat("has shape ", ShapeText(found.shape), "; wanted ", ShapeText(wanted));
  }
  if (!IsWeightType(found.dtype)) {
    return absl::StrCat("has dtype ", DTypeName(found.dtype), "; wanted F32, F16 or BF16");
  }
  return "";
}

}  // namespace

TensorTable TransformerTable(const ModelConfig& config) {
  const TransformerConfig& t = config.transformer;
  const int64_t C = t.embed_dim;
  TensorTable table = {
      {"class_emb.weight", {static_cast<int64_t>(config.classes.size()) + 1, C}},
      {"pos_start", {1, 1, C}},
      {"pos_1LC", {1, config.total_tokens(), C}},
      {"lvl_embed.weight", {config.num_scales(), C}},
      {"mask_embed.weight", {1, C}},
      {"word_embed.weight", {C, config.tokenizer.z_channels}},
      {"word_embed_bias", {C}},
  };
  AddStack("base_blocks", t.depth - t.n_layers_train, t, &table);
  AddStack("ns_blocks", t.n_layers_train, t, &table);
  AddStack("mask_blocks", t.n_layers_train, t, &table);
  if (t.shared_aln) AddLinear("shared_ada_lin.1", C, 6 * C, &table);
  for (const std::string head : {"ns_head", "mask_head"}) {
    AddLinear(head + "_nm.ada_lin.1", C, 2 * C, &table);
    AddLinear(head, C, config.tokenizer.vocab_size, &table);
  }
  return table;
}

TensorTable TokenizerTable(const ModelConfig& config, const Checkpoint& has) {
  TensorTable table;
  TokenizerRows rows(config.tokenizer, has, &table);
  rows.Encoder();
  rows.Decoder();
  rows.Quantizer();
  return table;
}

absl::Status CheckTensors(const Checkpoint& checkpoint, const TensorTable& table) {
  std::string first;  // What is wrong; of the others, which may be a million, only the number.
  size_t wrong = 0;
  const auto note = [&](const std::string& name, const std::string& what) {
    if (wrong++ == 0) first = absl::StrCat("tensor ", QuotedName(name), " ", what);
  };
  const auto& tensors = checkpoint.tensors();
  for (const auto& [name, shape] : table) {
    const auto found = tensors.find(name);
    const std::string what = found == tensors.end()
                                 ? absl::StrCat("is missing; wanted shape ", ShapeText(shape))
                                 : WrongTensor(found->second, shape);
    if (!what.empty()) note(name, what);
  }
  for (const auto& [name, info] : tensors) {
    if (table.count(name) != 0 || IsKnownBuffer(name)) continue;
    note(name, absl::StrCat("of shape ", ShapeText(info.shape), " has no place in this model"));
  }
  if (wrong == 0) return absl::OkStatus();
  const std::string others =
      wrong == 1 ? "" : absl::StrCat(" (and ", wrong - 1, " more tensors are wrong)");
  return absl::InvalidArgumentError(absl::StrCat(checkpoint.path(), ": ", first, others));
}

uint64_t CountParameters(const TensorTable& table) {
  uint64_t count = 0;
  for (const auto& [name, shape] : table) {
    count += static_cast<uint64_t>(TensorInfo{.shape = shape}.elements());
  }
  return count;
}

}  // namespace hmar
