// A request's progress as lines and pictures.

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/terminal/request_progress.h"
#include "client/terminal/text_columns.h"

namespace hmar {
namespace {

// Rows of a picture: fewer show nothing, and more no more.
constexpr uint32_t kMinPictureRows = 4;
constexpr uint32_t kGoodPictureRows = 8;
constexpr uint32_t kMaxPictureRows = 16;

constexpr uint32_t kMinBarColumns = 10;
constexpr uint32_t kMaxBarColumns = 40;
constexpr uint32_t kStateColumns = 32;     // "scale 3/7  3 x 3  0.12 s" and some.
constexpr uint32_t kColumnsWithABar = 40;  // Of the screen, at least.

constexpr char kGreen[] = "\x1b[32m";
constexpr char kCyan[] = "\x1b[36m";
constexpr char kFaint[] = "\x1b[2m";
constexpr char kPlain[] = "\x1b[0m";

// Columns of a square picture of so many rows.
uint32_t SquareColumns(uint32_t rows, const Size& cell) {
  return std::max((rows * cell.height + cell.width / 2) / cell.width, 1U);
}

// As large as lets all images stand beside each other, within limits.
uint32_t PictureRows(uint32_t images, uint32_t most, const ScreenSize& size) {
  uint32_t rows = std::min(most, kMaxPictureRows);
  const auto fit = [&] { return size.columns / (SquareColumns(rows, size.cell) + 1); };
  while (rows > kGoodPictureRows && fit() < images) --rows;
  while (rows >= kMinPictureRows && fit() == 0) --rows;
  return rows < kMinPictureRows ? 0 : rows;
}

std::string Styled(const TerminalKind& kind, const char* style, const std::string& text) {
  if (kind.colours == Colours::kNone || text.empty()) return text;
  return absl::StrCat(style, text, kPlain);
}

std::string Repeated(absl::string_view text, uint32_t times) {
  std::string repeated;
  for (uint32_t i = 0; i < times; ++i) absl::StrAppend(&repeated, text);
  return repeated;
}

// A bar of so many columns.
std::string Bar(const RequestProgress::ImageProgress& image, uint32_t columns,
                const TerminalKind& kind) {
  const auto full = static_cast<uint32_t>(image.part * columns);
  const std::string done = Repeated(kind.utf8 ? "\xe2\x96\x88" : "#", full);
  const std::string left = Repeated(kind.utf8 ? "\xe2\x96\x91" : ".", columns - full);
  return absl::StrCat(Styled(kind, image.done ? kGreen : kCyan, done), Styled(kind, kFaint, left));
}

FrameLine BarLine(const RequestProgress& progress, uint32_t index, const TerminalKind& kind,
                  uint32_t columns) {
  const RequestProgress::ImageProgress& image = progress.image(index);
  const std::string all = absl::StrCat(progress.images());
  const std::string label = absl::StrCat(
      "image ", PadLeft(absl::StrCat(uint64_t{index} + 1), all.size()), "/", all, "  ");
  const std::string state = image.state.empty() ? "waiting" : image.state;
  const uint32_t used = ColumnsOf(label) + 2 + kStateColumns;
  if (columns < std::max(used, kColumnsWithABar)) {
    return PlainLine(CutToColumns(absl::StrCat(label, state), columns));
  }
  const uint32_t bar = std::clamp(columns - used, kMinBarColumns, kMaxBarColumns);
  const std::string rest =
      CutToColumns(absl::StrCat("  ", state), columns - std::min(columns, ColumnsOf(label) + bar));
  return {absl::StrCat(label, Bar(image, bar, kind), rest),
          ColumnsOf(label) + bar + ColumnsOf(rest)};
}

std::string StatusText(const RequestProgress& progress, uint32_t bars, absl::Duration elapsed) {
  if (!progress.completed().empty()) return progress.completed();
  return absl::StrFormat(
      "%d of %d done  %.1f s%s", progress.done(), progress.images(), absl::ToDoubleSeconds(elapsed),
      bars < progress.images() ? absl::StrCat("  (", bars, " of them above)") : "");
}

void AddPictures(const RequestProgress& progress, const ProgressLayout& layout, Frame& frame) {
  const uint32_t first =
      FirstShown(progress.first_unfinished(), progress.images(), layout.pictures);
  const auto top = static_cast<uint32_t>(frame.lines.size());
  frame.lines.resize(top + layout.cells.height);
  for (uint32_t i = 0; i < layout.pictures; ++i) {
    const RequestProgress::ImageProgress& image = progress.image(first + i);
    if (image.picture == nullptr) continue;
    frame.pictures.push_back({.line = top,
                              .column = i * (layout.cells.width + 1),
                              .cells = layout.cells,
                              .version = image.version,
                              .pixels = image.picture});
  }
}

}  // namespace

ProgressLayout LayOut(uint32_t images, bool pictures, const ScreenSize& size) {
  ProgressLayout layout;
  const uint32_t lines = std::max(size.rows, 2U) - 1;
  layout.header = lines >= 4;
  layout.status = lines >= 2;
  const uint32_t room = lines - (layout.header ? 1 : 0) - (layout.status ? 1 : 0);
  uint32_t picture_rows = 0;
  if (pictures && room > kMinPictureRows) {
    const uint32_t bars = std::min(images, std::max(room / 3, 1U));
    picture_rows = PictureRows(images, room - bars, size);
  }
  if (picture_rows > 0) {
    layout.cells = {SquareColumns(picture_rows, size.cell), picture_rows};
    layout.pictures = std::min(images, size.columns / (layout.cells.width + 1));
  }
  layout.bars = std::min(images, room - picture_rows);
  return layout;
}

uint32_t FirstShown(uint32_t first_unfinished, uint32_t images, uint32_t shown) {
  return std::min(first_unfinished, images - std::min(shown, images));
}

Frame ProgressFrame(const RequestProgress& progress, const TerminalKind& kind,
                    const ScreenSize& size, absl::Duration elapsed) {
  const bool pictures = kind.graphics != Graphics::kNone && progress.has_pictures();
  const ProgressLayout layout = LayOut(progress.images(), pictures, size);
  const uint32_t columns = std::max(size.columns, 2U) - 1;  // The last one stays free.
  const auto text = [columns](const std::string& line) {
    return PlainLine(CutToColumns(line, columns));
  };
  Frame frame;
  if (layout.header) {
    frame.lines.push_back(
        text(progress.accepted().empty() ? "waiting for the server" : progress.accepted()));
  }
  const uint32_t first = FirstShown(progress.first_unfinished(), progress.images(), layout.bars);
  for (uint32_t i = 0; i < layout.bars; ++i) {
    frame.lines.push_back(BarLine(progress, first + i, kind, columns));
  }
  if (layout.status) frame.lines.push_back(text(StatusText(progress, layout.bars, elapsed)));
  if (layout.pictures > 0) AddPictures(progress, layout, frame);
  return frame;
}

}  // namespace hmar
