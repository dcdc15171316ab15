#include "model/config.h"

#include <algorithm>
#include <cfloat>
#include <cmath>
#include <map>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "model/json_reader.h"
#include "model/sampling_plan.h"
#include "model/status_macros.h"

namespace hmar {
namespace {

// Far above any model in sight, and small enough that no product of them overflows 64 bits.
constexpr size_t kMaxTextBytes = 4 << 20;
constexpr int kMaxBrackets = 16;  // Inside each other: parsed, each takes 80 times its byte.
constexpr size_t kMaxClasses = 1'000'000;
constexpr size_t kMaxAliases = 64;  // Of a class.
constexpr size_t kMaxNameBytes = 256;
constexpr size_t kMaxQuotedBytes = 64;  // Of a key, in errors.
constexpr int kMaxScales = 64;
constexpr int kMaxGrid = 256;
constexpr int kMaxImageSize = 4096;
constexpr int kMaxVocab = 1 << 20;
constexpr int kMaxChannels = 1 << 16;
constexpr int kMaxLevels = 8;
constexpr int kMaxDepth = 256;
constexpr int kMaxHeads = 1024;
constexpr int kMaxMlpRatio = 64;
constexpr int kGroups = 32;  // GroupNorm's, throughout the tokenizer.

// How deep brackets lie inside each other; anything for what is no JSON.
int DepthOf(absl::string_view text) {
  int depth = 0, deepest = 0;
  bool in_string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string && c == '\\') ++i;
    if (c == '"') in_string = !in_string;
    if (in_string) continue;
    if (c == '[' || c == '{') deepest = std::max(deepest, ++depth);
    if (c == ']' || c == '}') --depth;
  }
  return deepest;
}

using ClassIds = std::map<std::string, size_t>;

ClassIds ReadClasses(JsonReader& in, ModelConfig* config) {
  config->classes = in.Strings("classes", kMaxClasses, kMaxClassNameBytes);
  ClassIds ids;
  for (size_t i = 0; i < config->classes.size(); ++i) {
    in.Check(ids.emplace(config->classes[i], i).second, absl::StrCat("classes[", i, "]"),
             "repeats an earlier name; class names must be unique");
  }
  return ids;
}

void ReadAliases(JsonReader in, const ClassIds& ids, ModelConfig* config) {
  config->class_aliases.resize(config->classes.size());
  for (const std::string& name : in.Keys()) {
    const auto id = ids.find(name);
    if (id == ids.end()) {
      in.Check(false, absl::CHexEscape(name.substr(0, kMaxQuotedBytes)), "is none of classes");
      return;
    }
    std::vector<std::string> aliases = in.Strings(name, kMaxAliases, kMaxClassNameBytes);
    for (size_t i = 0; i < aliases.size(); ++i) {
      const auto here = aliases.begin() + static_cast<ptrdiff_t>(i);
      in.Check(aliases[i] != name && std::find(aliases.begin(), here, aliases[i]) == here,
               absl::StrCat(name, "[", i, "]"), "repeats the class's name or an earlier alias");
    }
    config->class_aliases[id->second] = std::move(aliases);
  }
}

void ReadGrids(JsonReader& in, ModelConfig* config) {
  config->patch_nums = in.Ints("patch_nums", 2, kMaxScales, 1, kMaxGrid);
  for (size_t k = 1; k < config->patch_nums.size(); ++k) {
    in.Check(config->patch_nums[k] > config->patch_nums[k - 1], absl::StrCat("patch_nums[", k, "]"),
             absl::StrCat("is ", config->patch_nums[k], "; must be above the one before it, ",
                          config->patch_nums[k - 1]));
  }
}

TokenizerConfig ReadTokenizer(JsonReader in) {
  TokenizerConfig vq;
  vq.vocab_size = in.Int("vocab_size", 2, kMaxVocab);
  vq.z_channels = in.Int("z_channels", 1, kMaxChannels);
  vq.ch = in.Int("ch", kGroups, kMaxChannels);
  vq.ch_mult = in.Ints("ch_mult", 1, kMaxLevels, 1, kMaxChannels / kGroups);
  vq.num_res_blocks = in.Int("num_res_blocks", 1, 16);
  vq.quant_resi = in.Real("quant_resi", 0, 1);
  vq.share_quant_resi = in.Int("share_quant_resi", 1, kMaxScales);
  in.Check(vq.ch % kGroups == 0, "ch",
           absl::StrCat("is ", vq.ch, "; must be a multiple of ", kGroups, " (GroupNorm)"));
  for (const int mult : vq.ch_mult) {
    in.Check(vq.ch * mult <= kMaxChannels, "ch_mult",
             absl::StrCat("has ", mult, ", ", vq.ch * mult, " channels; at most ", kMaxChannels));
  }
  return vq;
}

TransformerConfig ReadTransformer(JsonReader in) {
  TransformerConfig t;
  t.depth = in.Int("depth", 2, kMaxDepth);
  t.embed_dim = in.Int("embed_dim", 1, kMaxChannels);
  t.num_heads = in.Int("num_heads", 1, kMaxHeads);
  t.mlp_ratio = in.Real("mlp_ratio", 0, kMaxMlpRatio);
  t.shared_aln = in.Bool("shared_aln");
  t.attn_l2_norm = in.Bool("attn_l2_norm");
  t.norm_eps = in.Real("norm_eps", 0, 1);
  t.n_layers_train = in.Int("n_layers_train", 1, t.depth - 1);
  in.Check(t.embed_dim % t.num_heads == 0, "embed_dim",
           absl::StrCat("is ", t.embed_dim, "; must be a multiple of num_heads, ", t.num_heads));
  in.Check(t.hidden() >= 1, "mlp_ratio",
           absl::StrCat("is ", t.mlp_ratio, "; leaves no hidden channel of ", t.embed_dim));
  return t;
}

SamplingParams ReadSampling(JsonReader in) {
  SamplingParams sampling;
  sampling.cfg_scale = static_cast<float>(in.Real("cfg", 0, kMaxCfgScale));
  sampling.top_k = static_cast<uint32_t>(in.Int("top_k", 0, kMaxVocab));
  sampling.top_p = static_cast<float>(in.Real("top_p", 0, 1));
  if (sampling.top_p == 0) sampling.top_p = 1;  // The file's other spelling of "off".
  if (in.Has("temperature")) {
    sampling.temperature = static_cast<float>(in.Real("temperature", 0, FLT_MAX));
  }
  sampling.mask_schedule = in.Lists("mask_schedule", kMaxScales, size_t{kMaxGrid} * kMaxGrid);
  return sampling;
}

// The rules that need the whole configuration.
void CheckTogether(JsonReader& in, const ModelConfig& config) {
  const size_t levels = config.tokenizer.ch_mult.size();
  const int size = config.last_grid() << (levels - 1);
  in.Check(config.image_size == size, "image_size",
           absl::StrCat("is ", config.image_size, "; the last of patch_nums, ", config.last_grid(),
                        ", doubled by every level of vqvae.ch_mult but one gives ", size));
  for (const SamplingViolation& violation : CheckSampling(config.sampling, config)) {
    // From the API's path to the file's: "mask_schedule.scales[2].tokens" is "mask_schedule[2]".
    in.Check(
        false,
        "sampling." + absl::StrReplaceAll(violation.field,
                                          {{"cfg_scale", "cfg"}, {".scales", ""}, {".tokens", ""}}),
        violation.description);
  }
}

}  // namespace

int TransformerConfig::hidden() const {
  // The default rounding mode is half to even, as the published code's round() is.
  return static_cast<int>(std::nearbyint(embed_dim * mlp_ratio));
}

int ModelConfig::total_tokens() const {
  int total = 0;
  for (int k = 0; k < num_scales(); ++k) total += tokens_of_scale(k);
  return total;
}

absl::StatusOr<ModelConfig> ParseModelConfig(absl::string_view text, const std::string& source) {
  if (text.size() > kMaxTextBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat(source, ": ", text.size(), " bytes; at most ", kMaxTextBytes));
  }
  if (const int depth = DepthOf(text); depth > kMaxBrackets) {
    return absl::InvalidArgumentError(
        absl::StrCat(source, ": has ", depth, " levels of brackets; at most ", kMaxBrackets));
  }
  const auto root =
      nlohmann::json::parse(text.begin(), text.end(), nullptr, /*allow_exceptions=*/false);
  if (!root.is_object()) {
    return absl::InvalidArgumentError(absl::StrCat(source, ": is not a JSON object"));
  }
  absl::Status status;
  JsonReader in(root, source + ": ", &status);
  ModelConfig config;
  config.name = in.String("name", kMaxNameBytes);
  config.architecture = in.String("architecture", kMaxNameBytes);
  in.Check(config.architecture == "hmar", "architecture", "is not \"hmar\"");
  config.image_size = in.Int("image_size", 1, kMaxImageSize);
  const ClassIds ids = ReadClasses(in, &config);
  if (in.Has("class_aliases")) ReadAliases(in.Object("class_aliases"), ids, &config);
  ReadGrids(in, &config);
  config.tokenizer = ReadTokenizer(in.Object("vqvae"));
  config.transformer = ReadTransformer(in.Object("transformer"));
  config.sampling = ReadSampling(in.Object("sampling"));
  if (status.ok()) CheckTogether(in, config);
  HMAR_RETURN_IF_ERROR(status);
  return config;
}

}  // namespace hmar
