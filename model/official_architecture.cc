#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "model/config.h"
#include "model/imagenet_classes.h"

namespace hmar {
namespace {

// One row a released model: what differs between them.
struct Release {
  const char* name;
  int depth;
  float cfg_scale;
  uint32_t top_k;
  int image_size;  // Pixels.
};

constexpr Release kReleases[] = {
    {"hmar-d16", 16, 1.7f, 1000, 256},     {"hmar-d20", 20, 1.9f, 950, 256},
    {"hmar-d24", 24, 2.1f, 900, 256},      {"hmar-d30", 30, 1.7f, 1000, 256},
    {"hmar-d16-512", 16, 1.7f, 1000, 512}, {"hmar-d20-512", 20, 1.9f, 950, 512},
    {"hmar-d24-512", 24, 2.1f, 900, 512},  {"hmar-d30-512", 30, 1.7f, 1000, 512},
};

std::vector<int> Grids(int image_size) {
  if (image_size == 512) return {1, 2, 3, 4, 6, 9, 13, 18, 24, 32};
  return {1, 2, 3, 4, 5, 6, 8, 10, 13, 16};
}

// Mask passes at the three coarsest scales only, as released.
MaskSchedule Schedule(const std::vector<int>& grids) {
  MaskSchedule schedule = {{1}, {1, 3}, {1, 1, 2, 5}};
  for (size_t k = schedule.size(); k < grids.size(); ++k) {
    schedule.push_back({static_cast<uint32_t>(grids[k] * grids[k])});
  }
  return schedule;
}

ModelConfig ReleasedConfig(const Release& release) {
  ModelConfig config;
  config.name = release.name;
  config.architecture = "hmar";
  config.image_size = release.image_size;
  ImageNetClasses classes = ReadImageNetClasses();
  config.classes = std::move(classes.names);
  config.class_aliases = std::move(classes.aliases);
  config.patch_nums = Grids(release.image_size);
  config.tokenizer = {.vocab_size = 4096,
                      .z_channels = 32,
                      .ch = 160,
                      .ch_mult = {1, 1, 2, 2, 4},
                      .num_res_blocks = 2};
  config.transformer = {.depth = release.depth,
                        .embed_dim = 64 * release.depth,
                        .num_heads = release.depth,
                        .n_layers_train = 8};
  config.sampling = {.cfg_scale = release.cfg_scale,
                     .top_k = release.top_k,
                     .top_p = 0.99f,
                     .mask_schedule = Schedule(config.patch_nums)};
  return config;
}

}  // namespace

absl::StatusOr<ModelConfig> OfficialArchitecture(const std::string& name) {
  std::vector<std::string> names;
  for (const Release& release : kReleases) {
    if (name == release.name) return ReleasedConfig(release);
    names.push_back(release.name);
  }
  return absl::InvalidArgumentError(
      absl::StrCat("architecture \"", name, "\" is unknown; known: ", absl::StrJoin(names, ", ")));
}

}  // namespace hmar
