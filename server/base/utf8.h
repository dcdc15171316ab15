#ifndef HMAR_SERVER_BASE_UTF8_H_
#define HMAR_SERVER_BASE_UTF8_H_

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"

namespace hmar {

// Whether a code point shows what it is wherever it is printed: a log line, a terminal, a file
// name. By general category (Unicode 15.0, DerivedGeneralCategory.txt) these do not: control (Cc),
// format (Cf: zero-width and bidirectional characters, soft hyphen, byte order mark, tags),
// surrogate (Cs), private use (Co), the line and paragraph separators (Zl, Zp), and of the
// unassigned (Cn) the 66 noncharacters. Other unassigned ones may mean something by the next
// version and pass. Nothing above U+10FFFF is printable.
bool IsPrintable(uint32_t code_point);

// True if `text` is well-formed UTF-8 (RFC 3629: no overlong forms, no surrogates, at most
// U+10FFFF) of printable characters alone.
bool IsPrintableUtf8(absl::string_view text);

// The code points of any text: U+FFFD for each byte that is not of well-formed UTF-8.
std::u32string CodePointsOf(absl::string_view text);

}  // namespace hmar

#endif  // HMAR_SERVER_BASE_UTF8_H_
