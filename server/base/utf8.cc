#include "server/base/utf8.h"

#include <algorithm>
#include <cstddef>
#include <iterator>

namespace hmar {
namespace {

struct CodeRange {
  uint32_t first;
  uint32_t last;
};

// What is not printable, but for the noncharacters, rising.
constexpr CodeRange kHidden[] = {
    {0x0000, 0x001f},     // Cc
    {0x007f, 0x009f},     // Cc
    {0x00ad, 0x00ad},     // Cf, as all that says nothing else.
    {0x0600, 0x0605},     //
    {0x061c, 0x061c},     //
    {0x06dd, 0x06dd},     //
    {0x070f, 0x070f},     //
    {0x0890, 0x0891},     //
    {0x08e2, 0x08e2},     //
    {0x180e, 0x180e},     //
    {0x200b, 0x200f},     //
    {0x2028, 0x202e},     // Zl, Zp, Cf
    {0x2060, 0x2064},     //
    {0x2066, 0x206f},     //
    {0xd800, 0xf8ff},     // Cs, Co
    {0xfeff, 0xfeff},     //
    {0xfff9, 0xfffb},     //
    {0x110bd, 0x110bd},   //
    {0x110cd, 0x110cd},   //
    {0x13430, 0x1343f},   //
    {0x1bca0, 0x1bca3},   //
    {0x1d173, 0x1d17a},   //
    {0xe0001, 0xe0001},   //
    {0xe0020, 0xe007f},   //
    {0xf0000, 0x10ffff},  // Co, and the noncharacters between.
};

bool IsNoncharacter(uint32_t code) {
  return (code >= 0xfdd0 && code <= 0xfdef) || (code & 0xfffe) == 0xfffe;
}

// Bytes of the character that starts at text[0], its code point in `code`; 0 if it is malformed.
size_t Decode(absl::string_view text, uint32_t* code) {
  const auto lead = static_cast<uint8_t>(text[0]);
  if (lead < 0x80) {
    *code = lead;
    return 1;
  }
  const size_t length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  if (lead < 0xc0 || lead > 0xf7 || text.size() < length) return 0;
  *code = lead & (0xffu >> (length + 1));
  for (size_t i = 1; i < length; ++i) {
    const auto next = static_cast<uint8_t>(text[i]);
    if ((next & 0xc0) != 0x80) return 0;
    *code = (*code << 6) | (next & 0x3f);
  }
  constexpr uint32_t kSmallest[] = {0, 0, 0x80, 0x800, 0x10000};
  return *code >= kSmallest[length] ? length : 0;
}

}  // namespace

bool IsPrintable(uint32_t code_point) {
  if (code_point > 0x10ffff || IsNoncharacter(code_point)) return false;
  const CodeRange* range =
      std::lower_bound(std::begin(kHidden), std::end(kHidden), code_point,
                       [](const CodeRange& hidden, uint32_t code) { return hidden.last < code; });
  return range == std::end(kHidden) || code_point < range->first;
}

bool IsPrintableUtf8(absl::string_view text) {
  while (!text.empty()) {
    uint32_t code = 0;
    const size_t length = Decode(text, &code);
    if (length == 0 || !IsPrintable(code)) return false;
    text.remove_prefix(length);
  }
  return true;
}

std::u32string CodePointsOf(absl::string_view text) {
  std::u32string points;
  while (!text.empty()) {
    uint32_t code = 0;
    const size_t length = Decode(text, &code);
    const bool surrogate = code >= 0xd800 && code <= 0xdfff;
    if (length == 0 || surrogate || code > 0x10ffff) {
      points.push_back(0xfffd);
      text.remove_prefix(1);
    } else {
      points.push_back(code);
      text.remove_prefix(length);
    }
  }
  return points;
}

}  // namespace hmar
