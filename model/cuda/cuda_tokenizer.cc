#include "model/cuda/cuda_tokenizer.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "absl/strings/str_cat.h"
#include "model/phi_of_scale.h"

namespace hmar {
namespace {

constexpr char kWeights[] = "weights";
constexpr int kMaxTokens = 4096;  // Of a scale: what attention and reopening take.
constexpr int kMaxChannels = 64;  // Z

// Bicubic weights of the four inputs around a point at distance `t` in [0, 1) behind the second
// one: Keys' kernel, a = -0.75.
std::array<float, 4> BicubicWeights(float t) {
  constexpr float a = -0.75f;
  const auto near = [](float x) { return ((a + 2) * x - (a + 3)) * x * x + 1; };
  const auto far = [](float x) { return ((a * x - 5 * a) * x + 8 * a) * x - 4 * a; };
  return {far(t + 1), near(t), near(1 - t), far(2 - t)};
}

struct BicubicTable {
  std::vector<int32_t> index_KP4;
  std::vector<float> weight_KP4;
};

BicubicTable MakeBicubicTable(const ModelConfig& config) {
  BicubicTable table;
  const int P = config.last_grid();
  for (const int side : config.patch_nums) {
    const float scale = static_cast<float>(side) / static_cast<float>(P);
    for (int i = 0; i < P; ++i) {
      const float at = scale * (static_cast<float>(i) + 0.5f) - 0.5f;  // Corners not aligned.
      const float floor = std::floor(at);
      const std::array<float, 4> weights = BicubicWeights(at - floor);
      for (int tap = 0; tap < 4; ++tap) {
        const int input = static_cast<int>(floor) - 1 + tap;
        table.index_KP4.push_back(std::clamp(input, 0, side - 1));
        table.weight_KP4.push_back(weights[tap]);
      }
    }
  }
  return table;
}

// (O, I, 3, 3) -> (I, 9, O)
std::vector<float> TapsForLanes(const std::vector<float>& weight, int Z) {
  std::vector<float> taps(weight.size());
  for (int o = 0; o < Z; ++o) {
    for (int i = 0; i < Z; ++i) {
      for (int tap = 0; tap < 9; ++tap) taps[(i * 9 + tap) * Z + o] = weight[(o * Z + i) * 9 + tap];
    }
  }
  return taps;
}

}  // namespace

absl::StatusOr<kernels::Grids> MakeGrids(const ModelConfig& config) {
  kernels::Grids grids;
  const int most = config.tokens_of_scale(config.num_scales() - 1);
  if (config.num_scales() > kernels::Grids::kMaxScales || most > kMaxTokens ||
      config.tokenizer.z_channels > kMaxChannels || config.tokenizer.z_channels % 8 != 0) {
    return absl::FailedPreconditionError(
        absl::StrCat("model '", config.name, "' has ", config.num_scales(), " scales, ", most,
                     " tokens in the last and ", config.tokenizer.z_channels,
                     " codebook channels; the CUDA engine takes up to ", kernels::Grids::kMaxScales,
                     ", ", kMaxTokens, " and ", kMaxChannels, " (a multiple of 8)"));
  }
  grids.scales = config.num_scales();
  grids.last = config.last_grid();
  int first = 0;
  for (int k = 0; k < grids.scales; ++k) {
    grids.side[k] = config.patch_nums[k];
    grids.first[k] = first;
    first += config.tokens_of_scale(k);
    grids.most_tokens = std::max(grids.most_tokens, config.tokens_of_scale(k));
  }
  return grids;
}

absl::StatusOr<kernels::ContributionWeights> LoadQuantizer(const ModelConfig& config,
                                                           WeightReader* weights,
                                                           DeviceMemory* memory) {
  const int Z = config.tokenizer.z_channels;
  kernels::ContributionWeights quantizer;
  quantizer.Z = Z;
  quantizer.quant_resi = static_cast<float>(config.tokenizer.quant_resi);
  HMAR_ASSIGN_OR_RETURN(const std::vector<float> codebook,
                        weights->Floats("quantize.embedding.weight"));
  HMAR_ASSIGN_OR_RETURN(quantizer.codebook_VZ, memory->Upload<float>(kWeights, codebook));
  std::vector<float> phi, phi_bias;
  for (int k = 0; k < config.num_scales(); ++k) {
    const std::string name =
        absl::StrCat("quantize.quant_resi.qresi_ls.",
                     PhiOfScale(k, config.num_scales(), config.tokenizer.share_quant_resi));
    HMAR_ASSIGN_OR_RETURN(const std::vector<float> weight, weights->Floats(name + ".weight"));
    HMAR_ASSIGN_OR_RETURN(const std::vector<float> bias, weights->Floats(name + ".bias"));
    const std::vector<float> taps = TapsForLanes(weight, Z);
    phi.insert(phi.end(), taps.begin(), taps.end());
    phi_bias.insert(phi_bias.end(), bias.begin(), bias.end());
  }
  HMAR_ASSIGN_OR_RETURN(quantizer.phi_KZ9Z, memory->Upload<float>(kWeights, phi));
  HMAR_ASSIGN_OR_RETURN(quantizer.phi_bias_KZ, memory->Upload<float>(kWeights, phi_bias));
  const BicubicTable table = MakeBicubicTable(config);
  HMAR_ASSIGN_OR_RETURN(quantizer.bicubic_index_KP4,
                        memory->Upload<int32_t>(kWeights, table.index_KP4));
  HMAR_ASSIGN_OR_RETURN(quantizer.bicubic_weight_KP4,
                        memory->Upload<float>(kWeights, table.weight_KP4));
  return quantizer;
}

absl::StatusOr<kernels::CodebookSearch> LoadCodebookSearch(WeightReader* weights,
                                                           DeviceMemory* memory) {
  const std::string name = "quantize.embedding.weight";
  const int64_t V = weights->shape(name)[0], Z = weights->shape(name)[1];
  HMAR_ASSIGN_OR_RETURN(const std::vector<float> codebook, weights->Floats(name));
  std::vector<float> transposed(codebook.size()), norms(V);
  for (int64_t v = 0; v < V; ++v) {
    for (int64_t z = 0; z < Z; ++z) {
      const float e = codebook[v * Z + z];
      transposed[z * V + v] = e;
      norms[v] += e * e;
    }
  }
  kernels::CodebookSearch search;
  search.V = static_cast<int>(V);
  search.Z = static_cast<int>(Z);
  HMAR_ASSIGN_OR_RETURN(search.codebook_ZV, memory->Upload<float>(kWeights, transposed));
  HMAR_ASSIGN_OR_RETURN(search.norm_V, memory->Upload<float>(kWeights, norms));
  return search;
}

TokenPyramid PyramidOf(const ModelConfig& config, const int32_t* tokens_L) {
  TokenPyramid pyramid;
  for (int k = 0; k < config.num_scales(); ++k) {
    const int n = config.tokens_of_scale(k);
    pyramid.emplace_back(tokens_L, tokens_L + n);
    tokens_L += n;
  }
  return pyramid;
}

}  // namespace hmar
