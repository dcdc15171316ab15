#include "server/uploads/compositor.h"

#include <algorithm>
#include <cmath>
#include <cstddef>

#include "server/uploads/distance.h"

namespace hmar {
namespace {

constexpr size_t kChannels = 3;

// Pixels start .. end - 1 of `from` are what pixel i of `to` covers.
struct Block {
  Block(uint64_t i, uint64_t to, uint64_t from)
      : start(static_cast<size_t>(i * from / to)), end(static_cast<size_t>((i + 1) * from / to)) {}
  size_t start;
  size_t end;
};

}  // namespace

Compositor::Layer Compositor::FullLayer(const EditSource& source, double full_share) {
  const std::vector<float> distance = DistanceToOutside(source.region, source.picture.width);
  Layer layer{std::vector<float>(distance.size()), std::vector<float>(kChannels * distance.size())};
  for (size_t i = 0; i < distance.size(); ++i) {
    const double share = std::min<double>(distance[i], full_share);
    layer.share[i] = static_cast<float>(share);
    for (size_t c = kChannels * i; c < kChannels * (i + 1); ++c) {
      layer.kept[c] = static_cast<float>((full_share - share) * source.picture.rgb[c]);
    }
  }
  return layer;
}

Compositor::Compositor(const EditSource& source, uint32_t feather)
    : side_(source.picture.width),
      full_share_(1.0 + feather),
      full_(FullLayer(source, full_share_)) {}

void Compositor::Apply(Picture* picture) const {
  const Layer& layer = LayerOf(picture->width, picture->height);
  for (size_t i = 0; i < layer.share.size(); ++i) {
    for (size_t c = kChannels * i; c < kChannels * (i + 1); ++c) {
      const double sum = double{layer.share[i]} * picture->rgb[c] + layer.kept[c];
      picture->rgb[c] = static_cast<uint8_t>(std::floor(sum / full_share_ + 0.5));
    }
  }
}

const Compositor::Layer& Compositor::LayerOf(uint32_t width, uint32_t height) const {
  if (width == side_ && height == side_) return full_;
  absl::MutexLock lock(&mutex_);
  const auto known = reduced_.find({width, height});
  if (known != reduced_.end()) return known->second;
  Layer made = Reduced(width, height);  // May throw: before the map knows of it.
  return reduced_.emplace(std::make_pair(width, height), std::move(made)).first->second;
}

Compositor::Layer Compositor::Reduced(uint32_t width, uint32_t height) const {
  Layer layer;
  for (uint32_t y = 0; y < height; ++y) {
    for (uint32_t x = 0; x < width; ++x) {
      const Block rows(y, height, side_), columns(x, width, side_);
      double share = 0, kept[kChannels] = {};
      for (size_t row = rows.start; row < rows.end; ++row) {
        for (size_t i = row * side_ + columns.start; i < row * side_ + columns.end; ++i) {
          share += full_.share[i];
          for (size_t c = 0; c < kChannels; ++c) kept[c] += full_.kept[kChannels * i + c];
        }
      }
      const auto pixels =
          static_cast<double>((rows.end - rows.start) * (columns.end - columns.start));
      layer.share.push_back(static_cast<float>(share / pixels));
      for (const double sum : kept) layer.kept.push_back(static_cast<float>(sum / pixels));
    }
  }
  return layer;
}

}  // namespace hmar
