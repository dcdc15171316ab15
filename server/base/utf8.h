#ifndef HMAR_SERVER_BASE_UTF8_H_
#define HMAR_SERVER_BASE_UTF8_H_

#include "absl/strings/string_view.h"

namespace hmar {

// True if `text` is well-formed UTF-8 (RFC 3629: no overlong forms, no surrogates, at most
// U+10FFFF) without control characters (U+0000 .. U+001F, U+007F .. U+009F): safe to print in a log
// line.
bool IsPrintableUtf8(absl::string_view text);

}  // namespace hmar

#endif  // HMAR_SERVER_BASE_UTF8_H_
