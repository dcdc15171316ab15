#include "model/cuda/step_tables.h"

#include <algorithm>
#include <numeric>

namespace hmar {
namespace {

using kernels::kAttentionTileQueries;
using kernels::PassKind;

constexpr size_t kAlignment = 16;

int TilesOf(uint32_t tokens) {
  return static_cast<int>((tokens + kAttentionTileQueries - 1) / kAttentionTileQueries);
}

bool IsMask(const ImageStep& image) { return image.pass.step > 0; }

// Writes the tables front to back.
class Filler {
 public:
  Filler(int32_t null_class_row, const StepTables& tables)
      : null_class_row_(null_class_row), tables_(tables) {}

  void AddImage(const ImageStep& image, int index) {
    const Pass& pass = image.pass;
    const PassKind kind = IsMask(image) ? PassKind::kMask : PassKind::kNextScale;
    kernels::DrawImage& draw = tables_.draws[index];
    draw = {.first_row = row_,
            .first_uncond_row = pass.guided ? row_ + pass.tokens : -1,
            .first_token = 0,  // FillTokens knows.
            .tokens = static_cast<int32_t>(pass.tokens),
            .slot = image.slot,
            .scale = pass.scale,
            .step = pass.step,
            .open = image.open,
            .seed = image.seed,
            .guidance = image.guidance,
            .temperature = image.temperature,
            .top_k = image.top_k,
            .drop_mass = image.drop_mass};
    AddSegment(image, kind, image.class_row);
    if (pass.guided) AddSegment(image, kind, null_class_row_);
    if (kind == PassKind::kMask) tables_.own_maps[own_maps_++] = {image.slot, pass.scale};
    if (image.reopen > 0) {
      tables_.reopened[reopened_++] = {image.slot, static_cast<int32_t>(pass.tokens),
                                       static_cast<int32_t>(image.reopen), image.open};
    } else {
      tables_.settled_maps[settled_maps_++] = {image.slot, pass.scale};
    }
  }

  // Tiles of the segments added since the last call, long segments first.
  void AddTiles() {
    std::vector<int> order(segment_ - tiled_segments_);
    std::iota(order.begin(), order.end(), tiled_segments_);
    std::stable_sort(order.begin(), order.end(), [this](int a, int b) {
      return tables_.segments[a].tokens > tables_.segments[b].tokens;
    });
    for (const int s : order) {
      const kernels::Segment& segment = tables_.segments[s];
      for (int32_t query = 0; query < segment.tokens; query += kAttentionTileQueries) {
        tables_.tiles[tile_++] = {segment.first_row, segment.tokens, query};
      }
    }
    tiled_segments_ = segment_;
  }

 private:
  void AddSegment(const ImageStep& image, PassKind kind, int32_t class_row) {
    const auto n = static_cast<int32_t>(image.pass.tokens);
    tables_.segments[segment_] = {
        static_cast<int32_t>(row_), n, image.pass.scale, image.slot, class_row, kind};
    std::fill_n(tables_.segment_of_row + row_, n, segment_);
    std::fill_n(tables_.class_of_row + row_, n, class_row);
    row_ += n;
    ++segment_;
  }

  const int32_t null_class_row_;
  const StepTables& tables_;
  int64_t row_ = 0;
  int segment_ = 0, tiled_segments_ = 0, tile_ = 0;
  int own_maps_ = 0, settled_maps_ = 0, reopened_ = 0;
};

// Draws in the order of the images, whatever the order of their rows.
void FillTokens(absl::Span<const ImageStep> images, const StepTables& tables) {
  int32_t token = 0;
  for (size_t i = 0; i < images.size(); ++i) {
    tables.draws[i].first_token = token;
    std::fill_n(tables.image_of_token + token, images[i].pass.tokens, static_cast<int32_t>(i));
    token += static_cast<int32_t>(images[i].pass.tokens);
  }
}

}  // namespace

StepTables::StepTables(const StepSizes& sizes, void* memory) {
  size_t offset = 0;
  const auto place = [&]<typename T>(T** table, int64_t count) {
    *table = reinterpret_cast<T*>(static_cast<char*>(memory) + offset);
    offset += (count * sizeof(T) + kAlignment - 1) / kAlignment * kAlignment;
  };
  place(&segments, sizes.segments);
  place(&segment_of_row, sizes.rows());
  place(&class_of_row, sizes.rows());
  place(&tiles, sizes.ns_tiles + sizes.mask_tiles);
  place(&draws, sizes.images);
  place(&image_of_token, sizes.drawn_tokens);
  place(&own_maps, sizes.own_maps);
  place(&settled_maps, sizes.settled_maps);
  place(&reopened, sizes.reopened);
  bytes = offset;
}

StepSizes MeasureStep(absl::Span<const ImageStep> images) {
  StepSizes sizes;
  for (const ImageStep& image : images) {
    const int segments = image.pass.guided ? 2 : 1;
    (IsMask(image) ? sizes.mask_rows : sizes.ns_rows) += image.pass.rows();
    (IsMask(image) ? sizes.mask_tiles : sizes.ns_tiles) += segments * TilesOf(image.pass.tokens);
    sizes.segments += segments;
    sizes.drawn_tokens += static_cast<int>(image.pass.tokens);
    sizes.own_maps += IsMask(image);
    ++(image.reopen > 0 ? sizes.reopened : sizes.settled_maps);
  }
  sizes.images = static_cast<int>(images.size());
  return sizes;
}

void FillStep(absl::Span<const ImageStep> images, int32_t null_class_row,
              const StepTables& tables) {
  Filler filler(null_class_row, tables);
  for (const bool mask : {false, true}) {
    for (size_t i = 0; i < images.size(); ++i) {
      if (IsMask(images[i]) == mask) filler.AddImage(images[i], static_cast<int>(i));
    }
    filler.AddTiles();
  }
  FillTokens(images, tables);
}

size_t MostStepBytes(int64_t max_rows, int64_t max_images) {
  StepSizes most;
  most.ns_rows = max_rows;
  most.images = static_cast<int>(max_images);
  most.segments = static_cast<int>(2 * max_images);
  most.ns_tiles = static_cast<int>(2 * max_images + max_rows / kAttentionTileQueries);
  most.drawn_tokens = static_cast<int>(max_rows);
  most.own_maps = most.settled_maps = most.reopened = most.images;
  return StepTables(most, nullptr).bytes;
}

}  // namespace hmar
