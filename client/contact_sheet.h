#ifndef HMAR_CLIENT_CONTACT_SHEET_H_
#define HMAR_CLIENT_CONTACT_SHEET_H_

// Many pictures on one page.

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "model/picture.h"

namespace hmar {

struct ContactSheetOptions {
  uint32_t min_cell_pixels = 128;  // Pictures smaller than this are magnified, by a whole number.
  uint32_t gap_pixels = 4;         // Between cells and around the page.
  uint8_t background = 32;         // Grey level of gaps and empty cells.
  uint64_t max_sheet_pixels = 64'000'000;  // Cells shrink until the page is no larger.
};

// Lays each row's pictures out from left to right and the rows from top to bottom. All cells have
// one size: that of the largest picture, magnified; each picture is enlarged (nearest neighbour) to
// fill its cell as far as its proportions allow, and centred. Rows may differ in length.
// INVALID_ARGUMENT: no picture at all, an empty one, one whose bytes do not match its size, or so
// many that not even cells of one pixel fit.
absl::StatusOr<Picture> MakeContactSheet(absl::Span<const std::vector<Picture>> rows,
                                         const ContactSheetOptions& options = {});

}  // namespace hmar

#endif  // HMAR_CLIENT_CONTACT_SHEET_H_
