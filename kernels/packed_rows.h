#ifndef HMAR_KERNELS_PACKED_ROWS_H_
#define HMAR_KERNELS_PACKED_ROWS_H_

// What the kernels of a step know about its rows. Plain data, filled on the host once a step and
// copied to the device.
//
// A step is a packed matrix of T rows. A segment is what attention may see as one: the n tokens of
// one image at one scale, or of its unconditional half. A slot is where an image in flight keeps
// its state on the device.

#include <cstdint>

namespace hmar::kernels {

enum class PassKind : int32_t {
  kNextScale,  // Draws every token of the scale; in an edit all that are not kept.
  kMask,       // Redraws the open ones.
};

struct Segment {
  int32_t first_row = 0;  // Of the packed matrix.
  int32_t tokens = 0;     // n = p * p
  int32_t scale = 0;
  int32_t slot = 0;
  int32_t class_row = 0;  // Row of the class tables: the class, or "no class".
  PassKind kind = PassKind::kNextScale;
};

// The grids of a model; a copy travels with each launch.
struct Grids {
  static constexpr int kMaxScales = 32;

  int scales = 0;              // K
  int last = 0;                // P
  int most_tokens = 0;         // The largest n of a scale: rows of per-slot token state.
  int side[kMaxScales] = {};   // p of each scale, rising; side[K - 1] == P.
  int first[kMaxScales] = {};  // Tokens of all scales before: index into an image's L tokens.
};

}  // namespace hmar::kernels

#endif  // HMAR_KERNELS_PACKED_ROWS_H_
