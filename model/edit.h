#ifndef HMAR_MODEL_EDIT_H_
#define HMAR_MODEL_EDIT_H_

// Zero-shot editing: which tokens of each scale stay those of the source image. Pure functions, no
// torch. K scales, p side of a scale's grid, n = p * p, P side of the last grid, S image size.

#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "model/config.h"

namespace hmar {

// One scale's tokens, row by row, (n): 1 where the source's token is kept, 0 where one is
// generated.
using KeepMap = std::vector<uint8_t>;

// Cells of the last grid, (P * P), 1 where kept: a cell is generated if any of its pixels is.
// region_SS: (S * S), row by row, 0 where a pixel is kept. REQUIRES: P divides S.
KeepMap KeepCells(absl::Span<const uint8_t> region_SS, const ModelConfig& config);

// K keep maps from that of the last grid: bilinear to p x p (half-pixel centres, not antialiased),
// kept where above one half. A 1 x 1 scale is always kept: it carries the picture's overall colour.
// In fp32 and in the order of PyTorch on CPUs with AVX2, so that ties fall as in the reference.
std::vector<KeepMap> KeepMaps(const KeepMap& keep_PP, const ModelConfig& config);

// How many of a scale's tokens are generated.
uint32_t Generated(const KeepMap& keep_n);

}  // namespace hmar

#endif  // HMAR_MODEL_EDIT_H_
