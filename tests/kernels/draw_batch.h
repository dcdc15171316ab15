#ifndef HMAR_TESTS_KERNELS_DRAW_BATCH_H_
#define HMAR_TESTS_KERNELS_DRAW_BATCH_H_

// Rows of logits of many looks, packed into images of one launch of DrawTokens.

#include <array>
#include <cstdint>
#include <random>
#include <vector>

#include "absl/types/span.h"
#include "kernels/draw.h"
#include "model/sampler.h"

namespace hmar {

// The sides 1, 2, 3, 4: 30 tokens a pyramid, and room beyond it that nothing may touch.
inline kernels::Grids SmallGrids() {
  kernels::Grids grids = {.scales = 4, .last = 4, .most_tokens = 16};
  for (int k = 0, first = 0; k < grids.scales; ++k) {
    grids.side[k] = k + 1;
    grids.first[k] = first;
    first += (k + 1) * (k + 1);
  }
  return grids;
}
inline constexpr int64_t kL = 37;

// How a row of logits looks.
enum class Kind { kNormal, kWide, kFlat, kFewLevels, kManyLevels, kDominated, kExtreme };
inline constexpr int kKinds = 7;

inline float Logit(Kind kind, int v, int V, std::mt19937* random) {
  std::normal_distribution<float> normal;
  switch (kind) {
    case Kind::kNormal:
      return 2 * normal(*random);
    case Kind::kWide:
      return 12 * normal(*random);
    case Kind::kFlat:
      return 1e-3f * normal(*random);
    case Kind::kFewLevels:  // Both zeros among them: they are equal.
      return std::array{-0.0f, 0.0f, 0.7f, -1.3f}[(*random)() % 4];
    case Kind::kManyLevels:
      return 0.25f * static_cast<float>((*random)() % 40);
    case Kind::kDominated:
      return normal(*random) + (v == V / 3 ? 14.0f : 0.0f);
    case Kind::kExtreme:
      return v % 3 == 0 ? 1e30f : v % 3 == 1 ? -1e30f : normal(*random);
  }
  return 0;
}

// Images of one launch with their logits, conditional halves first.
class Batch {
 public:
  explicit Batch(int V) : V_(V) {}

  // Adds an image of random logits; `image` says how to draw, its rows and tokens are set here.
  void Add(kernels::DrawImage image, int tokens, bool guided, Kind kind, std::mt19937* random) {
    image.first_token = static_cast<int32_t>(image_of_token_.size());
    image.tokens = tokens;
    image.first_row = AddRows(tokens, kind, random);
    image.first_uncond_row = guided ? AddRows(tokens, kind, random) : -1;
    image.slot = static_cast<int32_t>(images_.size());
    image_of_token_.insert(image_of_token_.end(), tokens, image.slot);
    images_.push_back(image);
  }

  int V() const { return V_; }
  int image_count() const { return static_cast<int>(images_.size()); }
  int token_count() const { return static_cast<int>(image_of_token_.size()); }
  const std::vector<kernels::DrawImage>& images() const { return images_; }
  const std::vector<float>& logits() const { return logits_; }
  const std::vector<int32_t>& image_of_token() const { return image_of_token_; }
  float& logit(int64_t row, int v) { return logits_[row * V_ + v]; }

  // The token's logits after guidance.
  std::vector<float> Guided(const kernels::DrawImage& image, int position) const {
    const auto row = [&](int64_t first) {
      return absl::MakeConstSpan(logits_).subspan((first + position) * V_, V_);
    };
    const absl::Span<const float> cond = row(image.first_row);
    std::vector<float> out(cond.begin(), cond.end());
    if (image.first_uncond_row >= 0) {
      Guide(cond, row(image.first_uncond_row), image.guidance, absl::MakeSpan(out));
    }
    return out;
  }

  // A launch of the image alone.
  Batch Only(int index) const {
    Batch alone(V_);
    kernels::DrawImage image = images_[index];
    const auto move_rows = [&](int64_t* first) {
      const auto begin = logits_.begin() + *first * V_;
      *first = static_cast<int64_t>(alone.logits_.size()) / V_;
      alone.logits_.insert(alone.logits_.end(), begin, begin + int64_t{image.tokens} * V_);
    };
    move_rows(&image.first_row);
    if (image.first_uncond_row >= 0) move_rows(&image.first_uncond_row);
    image.first_token = 0;
    alone.image_of_token_.assign(image.tokens, 0);
    alone.images_ = {image};
    return alone;
  }

 private:
  int64_t AddRows(int rows, Kind kind, std::mt19937* random) {
    const int64_t first = static_cast<int64_t>(logits_.size()) / V_;
    for (int r = 0; r < rows; ++r) {
      for (int v = 0; v < V_; ++v) logits_.push_back(Logit(kind, v, V_, random));
    }
    return first;
  }

  int V_;
  std::vector<float> logits_;
  std::vector<kernels::DrawImage> images_;
  std::vector<int32_t> image_of_token_;
};

}  // namespace hmar

#endif  // HMAR_TESTS_KERNELS_DRAW_BATCH_H_
