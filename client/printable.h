#ifndef HMAR_CLIENT_PRINTABLE_H_
#define HMAR_CLIENT_PRINTABLE_H_

// Text that a server sent, made fit for a terminal. Raw, it could move the cursor and overwrite
// lines, set the window's title, turn the order of letters round or hide some. What is escaped:
// control characters (C0, DEL, C1), format characters (bidirectional, zero-width), all else that
// has no glyph of its own by Unicode's properties (separators of lines, private and unassigned
// codes, fillers), and bytes that are no UTF-8. All functions are thread-safe, and none changes
// text that it made.

#include <cstddef>
#include <string>

#include "absl/strings/string_view.h"

namespace hmar {

inline constexpr size_t kMaxPrintableBytes = 1024;

// One line of well-formed UTF-8, at most `max_bytes` (>= 16) long; what is cut off shows as "...".
// Escapes are \n, \r, \t, \u202E, \U000E0001, and \xFF for a byte that is no UTF-8.
std::string Printable(absl::string_view text, size_t max_bytes = kMaxPrintableBytes);

// The same, but line feeds stay and nothing is cut off: for text whose lines are known to be ours.
std::string PrintableLines(absl::string_view text);

// JSON stays JSON and says the same: escapes are JSON's own, line feeds between its tokens stay.
std::string PrintableJson(absl::string_view json);

}  // namespace hmar

#endif  // HMAR_CLIENT_PRINTABLE_H_
