#ifndef HMAR_MODEL_CONFIG_H_
#define HMAR_MODEL_CONFIG_H_

// What a model folder's config.json says, checked. No torch here: the server includes this.

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace hmar {

inline constexpr size_t kMaxClassNameBytes = 256;  // Of a config.json's classes and their aliases.

// schedule[k] lists how many tokens of scale k settle in each of its passes: positive numbers whose
// sum is the scale's token count. The first pass is the next-scale pass, the others are mask passes
// (HMAR, arXiv 2506.04421, section 4).
using MaskSchedule = std::vector<std::vector<uint32_t>>;

// How tokens are drawn. Plain data; CheckSampling (sampling_plan.h) says what is valid.
struct SamplingParams {
  float cfg_scale = 0;    // Guidance at the last scale, >= 0; grows linearly from 0 at the first.
  uint32_t top_k = 0;     // 0: off.
  float top_p = 1;        // 0 < p <= 1; 1: off.
  float temperature = 1;  // > 0; divides the logits before truncation.
  MaskSchedule mask_schedule;
  uint32_t max_scales = 0;  // The image ends after so many scales; 0: after all.
};

// The multi-scale VQ-VAE (VAR, arXiv 2404.02905, section 3.2): "vqvae" in the file.
struct TokenizerConfig {
  int vocab_size = 0;        // V
  int z_channels = 0;        // Z
  int ch = 0;                // Channels of the first level, a multiple of 32 (GroupNorm).
  std::vector<int> ch_mult;  // A level's channels / ch; each further level halves the side.
  int num_res_blocks = 0;    // A level, in the encoder; the decoder has one more.
  double quant_resi = 0.5;   // Weight of the phi convolution against the identity, 0 to 1.
  int share_quant_resi = 4;  // How many phi convolutions the scales share.
};

// "transformer" in the file.
struct TransformerConfig {
  int depth = 0;             // base_blocks + ns_blocks.
  int embed_dim = 0;         // C, a multiple of H.
  int num_heads = 0;         // H
  double mlp_ratio = 4;      // Hidden width of the feed-forward part / C.
  bool shared_aln = false;   // One AdaLN projection for all blocks.
  bool attn_l2_norm = true;  // Cosine attention with a learned temperature a head.
  double norm_eps = 1e-6;
  int n_layers_train = 0;  // ns_blocks, and as many mask_blocks; below depth.

  int hidden() const;  // Width of the feed-forward part: C * mlp_ratio rounded half to even.
};

struct ModelConfig {
  std::string name;
  std::string architecture;          // "hmar"
  int image_size = 0;                // Pixels a side, S: P doubled for every level but one.
  std::vector<std::string> classes;  // By class id; unique.
  // What else the classes are called, by class id, or empty: no class is called anything else. An
  // alias may be another class's, too, or its name.
  std::vector<std::vector<std::string>> class_aliases;
  std::vector<int> patch_nums;  // Tokens a side of each scale, rising; the last is P.
  TokenizerConfig tokenizer;
  TransformerConfig transformer;
  SamplingParams sampling;  // Defaults; valid.

  int num_scales() const { return static_cast<int>(patch_nums.size()); }      // K
  int last_grid() const { return patch_nums.back(); }                         // P
  int tokens_of_scale(int k) const { return patch_nums[k] * patch_nums[k]; }  // n
  int total_tokens() const;                                                   // L
};

// Parses and checks the text of a config.json, at most 4 MiB and 16 levels of brackets. `source`
// names it in errors. INVALID_ARGUMENT names the field, the value found and what was wanted; any
// text is safe, and sizes are bounded so that no product of two or three of them overflows int64.
// Keys it does not know are ignored. In the
// file, "sampling" has cfg, top_k, top_p (0: off, like 1), mask_schedule and, if it likes,
// temperature; "class_aliases", which it may leave out, is an object of lists by class name, each
// of 1 to 64 aliases.
absl::StatusOr<ModelConfig> ParseModelConfig(absl::string_view text, const std::string& source);

// The configuration of the released models, which come without a config.json: "hmar-d16",
// "hmar-d20", "hmar-d24", "hmar-d30" (256 px, the classes of imagenet_classes.h), and the same with
// "-512" appended (512 px). INVALID_ARGUMENT lists the names for any other.
absl::StatusOr<ModelConfig> OfficialArchitecture(const std::string& name);

}  // namespace hmar

#endif  // HMAR_MODEL_CONFIG_H_
