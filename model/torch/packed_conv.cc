#include "model/torch/packed_conv.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "model/torch/row_ops.h"

namespace hmar {
namespace {

constexpr int64_t kNormGroups = 32;
constexpr double kNormEps = 1e-6;

// Neighbourhoods gathered at once: a block of rows for PackedLinear that stays in the second-level
// cache.
constexpr int64_t kGatheredFloats = 64 * 1024;
constexpr int64_t kMinRows = 12;
constexpr int64_t kMaxRows = 96;

// Copies neighbourhoods of a channels-last map.
struct Gather {
  const float* x;   // (B, H, W, I)
  int64_t H, W, I;  // Of the input.
  int64_t out_H, out_W;
  ConvShape shape;

  // The input position of an output position and tap along one axis of `size`; -1: beyond the
  // border.
  int64_t Source(int64_t out, int64_t tap, int64_t size) const {
    if (shape == ConvShape::kDownsample) return 2 * out + tap < size ? 2 * out + tap : -1;
    const int64_t at = out + tap - 1;
    if (shape == ConvShape::kUpsample) return at >= 0 && at < 2 * size ? at / 2 : -1;
    return at < size ? at : -1;
  }

  // The 3 x 3 neighbourhood of output position `row`, counted over (B, out_H, out_W): 9 I floats.
  void Row(int64_t row, float* out) const {
    const int64_t b = row / (out_H * out_W), y = row / out_W % out_H, column = row % out_W;
    for (int64_t dy = 0; dy < 3; ++dy) {
      const int64_t source_y = Source(y, dy, H);
      for (int64_t dx = 0; dx < 3; ++dx, out += I) {
        const int64_t source_x = Source(column, dx, W);
        if (source_y < 0 || source_x < 0) {
          std::fill_n(out, I, 0.0f);
        } else {
          std::copy_n(x + ((b * H + source_y) * W + source_x) * I, I, out);
        }
      }
    }
  }
};

// Few enough for the cache and for every thread to have some; which rows share a block changes no
// result.
int64_t RowsAtOnce(int64_t rows, int64_t inputs) {
  const int64_t share = (rows / (2 * at::get_num_threads()) + kMinRows - 1) / kMinRows * kMinRows;
  return std::clamp(std::min(share, kGatheredFloats / inputs), kMinRows, kMaxRows);
}

}  // namespace

PackedConv::PackedConv(const at::Tensor& weight_OIkk, const at::Tensor& bias_O)
    : side_(weight_OIkk.size(2)),
      inputs_(weight_OIkk.size(1)),
      linear_(weight_OIkk.permute({0, 2, 3, 1}).flatten(1), bias_O) {}

at::Tensor PackedConv::operator()(const at::Tensor& x_BHWI, ConvShape shape) const {
  const int64_t B = x_BHWI.size(0), H = x_BHWI.size(1), W = x_BHWI.size(2);
  if (side_ == 1) return linear_(x_BHWI.reshape({-1, inputs_})).view({B, H, W, -1});
  const auto scaled = [shape](int64_t side) {
    return shape == ConvShape::kDownsample ? side / 2
           : shape == ConvShape::kUpsample ? 2 * side
                                           : side;
  };
  const Gather gather{x_BHWI.data_ptr<float>(), H, W, inputs_, scaled(H), scaled(W), shape};
  const int64_t rows = B * gather.out_H * gather.out_W, K = linear_.inputs(), O = linear_.outputs();
  at::Tensor out = at::empty({B, gather.out_H, gather.out_W, O}, at::kFloat);
  float* out_data = out.data_ptr<float>();
  const int64_t at_once = RowsAtOnce(rows, K);
  at::parallel_for(0, (rows + at_once - 1) / at_once, 1, [&](int64_t begin, int64_t end) {
    std::vector<float> gathered(at_once * K);
    for (int64_t block = begin; block < end; ++block) {
      const int64_t first = block * at_once, count = std::min(at_once, rows - first);
      for (int64_t r = 0; r < count; ++r) gather.Row(first + r, gathered.data() + r * K);
      linear_.ApplyHere(gathered.data(), count, out_data + first * O);
    }
  });
  return out;
}

namespace {

// What GroupNorm does to each channel of each image: x * scale + shift. (B, C) each.
struct ChannelMap {
  std::vector<float> scale, shift;
};

// From each channel's sums over the rows of an image, (B, H, C), added up in order: so no sum
// depends on the threads.
ChannelMap MapOfGroups(const std::vector<float>& sums, const std::vector<float>& squares, int64_t B,
                       int64_t H, int64_t W, int64_t C, const float* weight_C,
                       const float* bias_C) {
  ChannelMap map{std::vector<float>(B * C), std::vector<float>(B * C)};
  const int64_t width = C / kNormGroups;
  for (int64_t b = 0; b < B; ++b) {
    for (int64_t first = 0; first < C; first += width) {
      double sum = 0, square = 0;
      for (int64_t y = 0; y < H; ++y) {
        const int64_t row = (b * H + y) * C;
        for (int64_t c = first; c < first + width; ++c) {
          sum += sums[row + c];
          square += squares[row + c];
        }
      }
      const double count = static_cast<double>(H * W * width), mean = sum / count;
      const double inverse = 1 / std::sqrt(std::max(square / count - mean * mean, 0.0) + kNormEps);
      for (int64_t c = first; c < first + width; ++c) {
        map.scale[b * C + c] = static_cast<float>(weight_C[c] * inverse);
        map.shift[b * C + c] = static_cast<float>(bias_C[c] - mean * weight_C[c] * inverse);
      }
    }
  }
  return map;
}

}  // namespace

at::Tensor GroupNorm(const at::Tensor& x_BHWC, const at::Tensor& weight_C, const at::Tensor& bias_C,
                     bool silu) {
  const int64_t B = x_BHWC.size(0), H = x_BHWC.size(1), W = x_BHWC.size(2), C = x_BHWC.size(3);
  const at::Tensor in = x_BHWC.contiguous();
  at::Tensor out = at::empty_like(in);
  const float* x = in.data_ptr<float>();
  float* y = out.data_ptr<float>();
  std::vector<float> sums(B * H * C), squares(B * H * C);
  at::parallel_for(0, B * H, 1, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      ChannelSums(x + row * W * C, W, C, sums.data() + row * C, squares.data() + row * C);
    }
  });
  const ChannelMap map =
      MapOfGroups(sums, squares, B, H, W, C, weight_C.data_ptr<float>(), bias_C.data_ptr<float>());
  at::parallel_for(0, B * H, 1, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const int64_t image = row / H * C;
      ScaleShift(x + row * W * C, y + row * W * C, W, C, map.scale.data() + image,
                 map.shift.data() + image, silu);
    }
  });
  return out;
}

}  // namespace hmar
