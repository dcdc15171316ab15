// What a FakeEngine makes of a task: numbers mixed out of all that it depends on.

#include <algorithm>
#include <bit>

#include "tests/fakes/fake_engine.h"

namespace hmar {
namespace {

// splitmix64's finaliser: a good mixer in three lines.
uint64_t Mix(uint64_t x) {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
  x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
  return x ^ (x >> 31);
}

uint64_t Combine(uint64_t hash, uint64_t value) { return Mix(hash + 0x9e3779b97f4a7c15 + value); }

uint64_t HashTask(const EngineInfo& info, const ImageTask& task) {
  uint64_t hash = 0;
  for (char c : info.config.name) hash = Combine(hash, c);
  hash = Combine(hash, task.seed);
  hash = Combine(hash, task.class_id ? *task.class_id + 1 : 0);
  for (const float value :
       {task.sampling.cfg_scale, task.sampling.top_p, task.sampling.temperature}) {
    hash = Combine(hash, std::bit_cast<uint32_t>(value));
  }
  hash = Combine(hash, task.sampling.top_k);
  for (const std::vector<uint32_t>& passes : task.sampling.mask_schedule) {
    for (const uint32_t tokens : passes) hash = Combine(hash, tokens);
  }
  for (const TokenPyramid* tokens : {&task.prefix, task.given.get()}) {
    if (tokens == nullptr) continue;
    for (const TokenMap& map : *tokens) {
      for (int32_t token : map) hash = Combine(hash, token);
    }
  }
  return hash;
}

Picture PictureOf(uint64_t hash, uint32_t side) {
  Picture picture{side, side, std::vector<uint8_t>(3 * side * side)};
  for (uint8_t& byte : picture.rgb) byte = (hash = Combine(hash, 1)) & 0xff;
  return picture;
}

TokenPyramid TokensOf(uint64_t hash, const ModelConfig& config) {
  TokenPyramid tokens;
  for (int k = 0; k < config.num_scales(); ++k) {
    TokenMap& map = tokens.emplace_back(config.tokens_of_scale(k));
    for (int32_t& token : map) {
      hash = Combine(hash, k);
      token = static_cast<int32_t>(hash % config.tokenizer.vocab_size);
    }
  }
  return tokens;
}

}  // namespace

Picture FakePicture(const EngineInfo& info, const ImageTask& task) {
  return PictureOf(HashTask(info, task), info.config.image_size);
}

std::vector<TokenMap> FakeTokens(const EngineInfo& info, const ImageTask& task) {
  const auto prefix = static_cast<int>(task.prefix.size());
  TokenPyramid tokens = TokensOf(HashTask(info, task), info.config);
  std::copy(task.prefix.begin(), task.prefix.end(), tokens.begin());
  for (int k = prefix; task.keep != nullptr && k < info.config.num_scales(); ++k) {
    for (size_t i = 0; i < tokens[k].size(); ++i) {
      if ((*task.keep)[k][i] != 0) tokens[k][i] = (*task.given)[k][i];
    }
  }
  return tokens;
}

TokenPyramid FakeEncoding(const EngineInfo& info, const Picture& picture) {
  uint64_t hash = 0;
  for (const uint8_t byte : picture.rgb) hash = Combine(hash, byte);
  return TokensOf(hash, info.config);
}

Picture FakePreview(const EngineInfo& info, const ImageTask& task, uint32_t scale) {
  const bool fast = task.preview_mode == PreviewMode::kFast;
  return PictureOf(Combine(HashTask(info, task), scale),
                   fast ? 4 * info.config.last_grid() : info.config.image_size);
}

}  // namespace hmar
