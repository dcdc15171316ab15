#include "client/contact_sheet.h"

#include <algorithm>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "model/status_macros.h"

namespace hmar {
namespace {

struct Size {
  uint64_t width = 0;
  uint64_t height = 0;
};

// Where everything goes on the page.
struct Layout {
  size_t rows = 0;
  size_t columns = 0;
  Size cell;
  uint64_t gap = 0;

  uint64_t Left(size_t column) const { return gap + column * (cell.width + gap); }
  uint64_t Top(size_t row) const { return gap + row * (cell.height + gap); }
  uint64_t pixels() const { return Left(columns) * Top(rows); }
};

absl::StatusOr<Size> LargestPicture(absl::Span<const std::vector<Picture>> rows) {
  Size largest;
  for (const std::vector<Picture>& row : rows) {
    for (const Picture& picture : row) {
      const uint64_t bytes = uint64_t{3} * picture.width * picture.height;
      if (bytes == 0 || picture.rgb.size() != bytes) {
        return absl::InvalidArgumentError(
            absl::StrCat("a picture of ", picture.width, " x ", picture.height, " pixels has ",
                         picture.rgb.size(), " bytes; ", bytes, " wanted, at least 3"));
      }
      largest.width = std::max<uint64_t>(largest.width, picture.width);
      largest.height = std::max<uint64_t>(largest.height, picture.height);
    }
  }
  if (largest.width == 0) return absl::InvalidArgumentError("a contact sheet needs a picture");
  return largest;
}

absl::StatusOr<Layout> MakeLayout(absl::Span<const std::vector<Picture>> rows,
                                  const ContactSheetOptions& options) {
  HMAR_ASSIGN_OR_RETURN(const Size largest, LargestPicture(rows));
  Layout layout{.rows = rows.size(), .columns = 0, .cell = {}, .gap = options.gap_pixels};
  for (const std::vector<Picture>& row : rows) {
    layout.columns = std::max(layout.columns, row.size());
  }
  const uint64_t side = std::max(largest.width, largest.height);
  const uint64_t magnification = (options.min_cell_pixels + side - 1) / side;
  const uint64_t scale = std::max<uint64_t>(magnification, 1);
  layout.cell = {largest.width * scale, largest.height * scale};
  while (layout.pixels() > options.max_sheet_pixels) {
    if (layout.cell.width == 1 && layout.cell.height == 1) {
      return absl::InvalidArgumentError(absl::StrCat(layout.rows, " x ", layout.columns,
                                                     " pictures do not fit ",
                                                     options.max_sheet_pixels, " pixels"));
    }
    layout.cell = {std::max<uint64_t>(layout.cell.width / 2, 1),
                   std::max<uint64_t>(layout.cell.height / 2, 1)};
  }
  return layout;
}

// The largest size of the picture's proportions inside the cell.
Size FitInto(const Size& cell, const Picture& picture) {
  const uint64_t width_at_full_height = cell.height * picture.width / picture.height;
  if (width_at_full_height <= cell.width) {
    return {std::max<uint64_t>(width_at_full_height, 1), cell.height};
  }
  return {cell.width, std::max<uint64_t>(cell.width * picture.height / picture.width, 1)};
}

void Paste(const Picture& picture, uint64_t left, uint64_t top, const Size& size, Picture& sheet) {
  for (uint64_t y = 0; y < size.height; ++y) {
    const uint8_t* from = &picture.rgb[y * picture.height / size.height * picture.width * 3];
    uint8_t* to = &sheet.rgb[((top + y) * sheet.width + left) * 3];
    for (uint64_t x = 0; x < size.width; ++x) {
      std::copy_n(from + x * picture.width / size.width * 3, 3, to + x * 3);
    }
  }
}

}  // namespace

absl::StatusOr<Picture> MakeContactSheet(absl::Span<const std::vector<Picture>> rows,
                                         const ContactSheetOptions& options) {
  HMAR_ASSIGN_OR_RETURN(const Layout layout, MakeLayout(rows, options));
  Picture sheet{static_cast<uint32_t>(layout.Left(layout.columns)),
                static_cast<uint32_t>(layout.Top(layout.rows)),
                {}};
  sheet.rgb.assign(layout.pixels() * 3, options.background);
  for (size_t row = 0; row < rows.size(); ++row) {
    for (size_t column = 0; column < rows[row].size(); ++column) {
      const Picture& picture = rows[row][column];
      const Size size = FitInto(layout.cell, picture);
      Paste(picture, layout.Left(column) + (layout.cell.width - size.width) / 2,
            layout.Top(row) + (layout.cell.height - size.height) / 2, size, sheet);
    }
  }
  return sheet;
}

}  // namespace hmar
