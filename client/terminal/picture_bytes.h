#ifndef HMAR_CLIENT_TERMINAL_PICTURE_BYTES_H_
#define HMAR_CLIENT_TERMINAL_PICTURE_BYTES_H_

// A picture as the bytes that put it onto a terminal at the cursor. Pictures have at least one
// pixel. Pure.

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "client/terminal/terminal_kind.h"
#include "model/picture.h"

namespace hmar {

struct Size {
  uint32_t width = 0;   // Pixels, or columns.
  uint32_t height = 0;  // Pixels, or rows.
  bool operator==(const Size&) const = default;
};

// The largest size of the picture's proportions inside the box; at least 1 x 1.
Size SizeInside(const Picture& picture, const Size& box);

// The picture at another size: each pixel the mean of those that it covers.
Picture ScaledTo(const Picture& picture, const Size& size);

// kitty's protocol: shows the PNG in these cells, the cursor stays where it is, the terminal
// answers nothing. A picture of the same id, which is not 0, is replaced wherever it stands.
std::string KittyPicture(absl::string_view png, uint32_t id, const Size& cells);
std::string KittyDelete(uint32_t id);

// iTerm2's protocol: likewise, but the cursor moves.
std::string Iterm2Picture(absl::string_view png, const Size& cells);

// DEC's sixels, pixel for pixel; the cursor moves. INTERNAL: libsixel failed.
absl::StatusOr<std::string> SixelPicture(const Picture& picture);

// Half blocks, a string a row of cells: a cell is two pixels, one above the other. Below the last
// pixel of an odd number of rows is nothing. `colours` is k256 or k24Bit.
std::vector<std::string> BlockRows(const Picture& picture, Colours colours);

}  // namespace hmar

#endif  // HMAR_CLIENT_TERMINAL_PICTURE_BYTES_H_
