#include "client/terminal/frame.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/png_codec.h"
#include "client/terminal/text_columns.h"

namespace hmar {
namespace {

constexpr char kNextLine[] = "\r\n";
constexpr char kEraseLine[] = "\x1b[2K";
constexpr char kEraseBelow[] = "\x1b[J";
constexpr char kSaveCursor[] =
    "\x1b"
    "7";
constexpr char kRestoreCursor[] =
    "\x1b"
    "8";
// Terminals that know it show what is between the two at once; the others pass it over.
constexpr char kBeginUpdate[] = "\x1b[?2026h";
constexpr char kEndUpdate[] = "\x1b[?2026l";

std::string Up(uint64_t rows) { return rows == 0 ? "" : absl::StrCat("\x1b[", rows, "A"); }

bool SamePlace(const FramePicture& a, const FramePicture& b) {
  return a.line == b.line && a.column == b.column && a.cells == b.cells;
}

// Text in place of the pictures, in lines that hold nothing else.
void DrawAsBlocks(Frame& frame, Colours colours) {
  for (const FramePicture& picture : frame.pictures) {
    const Size pixels =
        SizeInside(*picture.pixels, {picture.cells.width, 2 * picture.cells.height});
    const auto rows = BlockRows(ScaledTo(*picture.pixels, pixels), colours);
    for (size_t i = 0; i < rows.size(); ++i) {
      FrameLine& line = frame.lines[picture.line + i];
      const uint32_t gap = picture.column - std::min(line.columns, picture.column);
      absl::StrAppend(&line.bytes, std::string(gap, ' '), rows[i]);
      line.columns += gap + pixels.width;
    }
  }
  frame.pictures.clear();
}

// As much as the screen has room for.
void Shorten(Frame& frame, uint32_t rows) {
  const size_t most = std::max(rows, 2U) - 1;
  if (frame.lines.size() > most) frame.lines.resize(most);
  std::erase_if(frame.pictures, [&](const FramePicture& picture) {
    return picture.line + picture.cells.height > frame.lines.size();
  });
}

}  // namespace

FrameLine PlainLine(const std::string& text) { return {text, ColumnsOf(text)}; }

std::string FrameWriter::Draw(Frame frame, const ScreenSize& size) {
  Shorten(frame, size.rows);
  if (kind_.graphics == Graphics::kNone) frame.pictures.clear();
  if (kind_.graphics == Graphics::kBlocks) DrawAsBlocks(frame, kind_.picture_colours);
  const bool anew = MustStartAnew(frame, size);
  std::string bytes;
  if (anew) {
    absl::StrAppend(&bytes, ToTop(size), Erased());
    drawn_ = {};
  }
  const std::string pictures = Pictures(frame, size, anew);
  if (frame.lines != drawn_.lines) {
    absl::StrAppend(&bytes, Up(drawn_.lines.size()), Lines(frame));
  }
  bytes += pictures;
  drawn_ = std::move(frame);
  size_ = size;
  if (bytes.empty()) return bytes;
  return absl::StrCat(kBeginUpdate, bytes, kEndUpdate);
}

bool FrameWriter::MustStartAnew(const Frame& frame, const ScreenSize& size) const {
  if (drawn_.lines.empty()) return false;
  return size != size_ || frame.lines.size() < drawn_.lines.size() ||
         !std::equal(frame.pictures.begin(), frame.pictures.end(), drawn_.pictures.begin(),
                     drawn_.pictures.end(), SamePlace);
}

// From below the last frame to its first line, on a screen that may have another size by now.
std::string FrameWriter::ToTop(const ScreenSize& size) const {
  uint64_t rows = 0;
  for (const FrameLine& line : drawn_.lines) {
    const uint32_t wrapped = (line.columns + size.columns - 1) / size.columns;
    rows += kind_.reflows ? std::max(wrapped, 1U) : 1;
  }
  return absl::StrCat("\r", Up(std::min<uint64_t>(rows, std::max(size.rows, 1U) - 1)));
}

std::string FrameWriter::Erased() const {
  std::string bytes = kEraseBelow;
  if (kind_.graphics != Graphics::kKitty) return bytes;
  for (size_t i = 0; i < drawn_.pictures.size(); ++i) {
    bytes += KittyDelete(id_ + static_cast<uint32_t>(i));
  }
  return bytes;
}

// From the first line to below the last; what stands there already stays.
std::string FrameWriter::Lines(const Frame& frame) const {
  std::string bytes;
  for (size_t i = 0; i < frame.lines.size(); ++i) {
    const bool stands = i < drawn_.lines.size() && drawn_.lines[i] == frame.lines[i];
    if (!stands) absl::StrAppend(&bytes, kEraseLine, frame.lines[i].bytes);
    bytes += kNextLine;
  }
  return bytes;
}

std::string FrameWriter::Pictures(const Frame& frame, const ScreenSize& size, bool all) const {
  std::string bytes;
  for (size_t i = 0; i < frame.pictures.size(); ++i) {
    const FramePicture& picture = frame.pictures[i];
    const bool stands =
        !all && i < drawn_.pictures.size() && drawn_.pictures[i].version == picture.version;
    if (stands) continue;
    absl::StrAppend(
        &bytes, kSaveCursor, Up(frame.lines.size() - picture.line), "\x1b[", picture.column + 1,
        "G", PictureBytes(picture, id_ + static_cast<uint32_t>(i), size.cell), kRestoreCursor);
  }
  return bytes;
}

std::string FrameWriter::PictureBytes(const FramePicture& picture, uint32_t id,
                                      const Size& cell) const {
  const Size box = {picture.cells.width * cell.width, picture.cells.height * cell.height};
  const Size pixels = SizeInside(*picture.pixels, box);
  if (kind_.graphics == Graphics::kSixel) {
    return SixelPicture(ScaledTo(*picture.pixels, pixels)).value_or("");
  }
  const Size cells = {std::max((pixels.width + cell.width / 2) / cell.width, 1U),
                      std::max((pixels.height + cell.height / 2) / cell.height, 1U)};
  const std::string png = EncodePng(*picture.pixels).value_or("");
  return kind_.graphics == Graphics::kKitty ? KittyPicture(png, id, cells)
                                            : Iterm2Picture(png, cells);
}

}  // namespace hmar
