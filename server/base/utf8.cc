#include "server/base/utf8.h"

#include <cstddef>
#include <cstdint>

namespace hmar {
namespace {

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

bool Printable(uint32_t code) {
  const bool control = code < 0x20 || (code >= 0x7f && code < 0xa0);
  const bool surrogate = code >= 0xd800 && code < 0xe000;
  return !control && !surrogate && code <= 0x10ffff;
}

}  // namespace

bool IsPrintableUtf8(absl::string_view text) {
  while (!text.empty()) {
    uint32_t code = 0;
    const size_t length = Decode(text, &code);
    if (length == 0 || !Printable(code)) return false;
    text.remove_prefix(length);
  }
  return true;
}

}  // namespace hmar
