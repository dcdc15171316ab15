#include "client/printable.h"

#include <unictype.h>
#include <unistr.h>

#include <cstdint>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace hmar {
namespace {

// The first character of a text, or its first byte where that starts none.
struct Piece {
  ucs4_t code = 0;
  size_t bytes = 1;
  bool is_utf8 = false;
};

Piece FirstOf(absl::string_view text) {
  Piece piece;
  const int bytes =
      u8_mbtoucr(&piece.code, reinterpret_cast<const uint8_t*>(text.data()), text.size());
  if (bytes > 0) return {piece.code, static_cast<size_t>(bytes), true};
  return {static_cast<uint8_t>(text[0]), 1, false};
}

bool HasGlyph(const Piece& piece) {
  if (!piece.is_utf8) return false;
  if (piece.code < 0x7f) return piece.code >= ' ';
  constexpr uint32_t kWithoutGlyph = UC_CATEGORY_MASK_C | UC_CATEGORY_MASK_Zl | UC_CATEGORY_MASK_Zp;
  return !uc_is_general_category_withtable(piece.code, kWithoutGlyph) &&
         !uc_is_property_default_ignorable_code_point(piece.code);
}

std::string TextEscape(const Piece& piece) {
  if (!piece.is_utf8) return absl::StrFormat("\\x%02X", piece.code);
  if (piece.code == '\n') return "\\n";
  if (piece.code == '\r') return "\\r";
  if (piece.code == '\t') return "\\t";
  return piece.code <= 0xffff ? absl::StrFormat("\\u%04X", piece.code)
                              : absl::StrFormat("\\U%08X", piece.code);
}

// UTF-16, as JSON has it.
std::string JsonEscape(const Piece& piece) {
  if (!piece.is_utf8) return "\\ufffd";  // The replacement character.
  if (piece.code <= 0xffff) return absl::StrFormat("\\u%04x", piece.code);
  const uint32_t offset = piece.code - 0x10000;
  return absl::StrFormat("\\u%04x\\u%04x", 0xd800 + (offset >> 10), 0xdc00 + (offset & 0x3ff));
}

// Hands `take` the text piece by piece, as it is or escaped, until it returns false.
template <typename Escape, typename Take>
void ForEachPiece(absl::string_view text, bool keeps_line_feeds, Escape escape, Take take) {
  while (!text.empty()) {
    const Piece piece = FirstOf(text);
    const bool stays = HasGlyph(piece) || (keeps_line_feeds && text[0] == '\n');
    if (!take(stays ? std::string(text.substr(0, piece.bytes)) : escape(piece))) return;
    text.remove_prefix(piece.bytes);
  }
}

}  // namespace

std::string Printable(absl::string_view text, size_t max_bytes) {
  constexpr absl::string_view kCut = "...";
  std::string printable;
  size_t cut_at = 0;  // As much as leaves room for kCut.
  ForEachPiece(text, /*keeps_line_feeds=*/false, TextEscape, [&](const std::string& piece) {
    printable += piece;
    if (printable.size() + kCut.size() <= max_bytes) cut_at = printable.size();
    return printable.size() <= max_bytes;
  });
  if (printable.size() <= max_bytes) return printable;
  return absl::StrCat(printable.substr(0, cut_at), kCut);
}

std::string PrintableLines(absl::string_view text) {
  std::string lines;
  ForEachPiece(text, /*keeps_line_feeds=*/true, TextEscape, [&lines](const std::string& piece) {
    lines += piece;
    return true;
  });
  return lines;
}

std::string PrintableJson(absl::string_view json) {
  std::string printable;
  ForEachPiece(json, /*keeps_line_feeds=*/true, JsonEscape, [&printable](const std::string& piece) {
    printable += piece;
    return true;
  });
  return printable;
}

}  // namespace hmar
