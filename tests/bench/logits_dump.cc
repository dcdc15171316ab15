// Writes the logits of forced tokens, for bf16_error.py to compare with the reference.
//
//   logits_dump --model FOLDER --device cpu|cuda [--precision bf16|fp8] OUT
//
// For each scale k the guided logits (n, V) of its next-scale pass behind the forced tokens of the
// scales before, then, where the schedule has mask passes, those of the first one, with every
// second token open. fp32, in a row. Token i of scale k is ((7919 k + 104729 i + 17) mod 1000003)
// mod V; class 3, cfg 1.7.

#include <CLI/CLI.hpp>
#include <cstdio>
#include <fstream>

#include "model/cuda_engine.h"
#include "model/model_folder.h"

namespace hmar {
namespace {

TokenMap ForcedTokens(const ModelConfig& config, int scale) {
  TokenMap tokens;
  for (int64_t i = 0; i < config.tokens_of_scale(scale); ++i) {
    const int64_t x = (7919 * int64_t{scale} + 104729 * i + 17) % 1000003;
    tokens.push_back(static_cast<int32_t>(x % config.tokenizer.vocab_size));
  }
  return tokens;
}

void Append(const std::vector<float>& logits, std::ofstream* out) {
  out->write(reinterpret_cast<const char*>(logits.data()),
             static_cast<std::streamsize>(logits.size() * sizeof(float)));
}

void Dump(Inspector* inspector, std::ofstream* out) {
  const ModelConfig& config = inspector->config();
  ImageTask task;
  task.class_id = 3;
  task.sampling = config.sampling;
  task.sampling.cfg_scale = 1.7f;
  for (int k = 0; k < config.num_scales(); ++k) {
    const TokenMap tokens = ForcedTokens(config, k);
    Append(inspector->PassLogits(task, 0, {}, {}), out);
    if (config.sampling.mask_schedule[k].size() > 1) {
      std::vector<uint8_t> open;
      for (size_t i = 0; i < tokens.size(); ++i) open.push_back(i % 2 == 0);
      Append(inspector->PassLogits(task, 1, tokens, open), out);
    }
    task.prefix.push_back(tokens);
  }
}

int Main(int argc, char** argv) {
  std::string model = "deploy/models/hmar-cifar10", device = "cuda", precision = "bf16", path;
  CLI::App app("Writes logits of forced tokens");
  app.add_option("--model", model)->capture_default_str();
  app.add_option("--device", device)->check(CLI::IsMember({"cpu", "cuda"}))->capture_default_str();
  app.add_option("--precision", precision)->capture_default_str();
  app.add_option("out", path, "File to write")->required();
  CLI11_PARSE(app, argc, argv);
  auto folder = OpenModelFolder(model);
  if (!folder.ok()) return std::fprintf(stderr, "%s\n", folder.status().ToString().c_str()), 1;
  CudaEngineOptions options;
  options.max_images = 1;
  options.precision = precision == "fp8" ? Precision::kFp8 : Precision::kBf16;
  auto inspector = device == "cpu" ? MakeCpuInspector(*std::move(folder))
                                   : MakeCudaInspector(*std::move(folder), options);
  if (!inspector.ok()) {
    return std::fprintf(stderr, "%s\n", inspector.status().ToString().c_str()), 1;
  }
  std::ofstream out(path, std::ios::binary);
  Dump(inspector->get(), &out);
  return out.good() ? 0 : 1;
}

}  // namespace
}  // namespace hmar

int main(int argc, char** argv) { return hmar::Main(argc, argv); }
