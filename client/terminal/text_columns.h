#ifndef HMAR_CLIENT_TERMINAL_TEXT_COLUMNS_H_
#define HMAR_CLIENT_TERMINAL_TEXT_COLUMNS_H_

// How wide text is on a terminal. For text without escape sequences: printable.h makes it so. Pure.

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"

namespace hmar {

// Columns that this well-formed UTF-8 takes: two for a CJK character, none for a combining mark.
uint32_t ColumnsOf(absl::string_view text);

// As much of it as takes at most so many columns.
std::string CutToColumns(absl::string_view text, uint32_t columns);

// Cut, or filled up with blanks at its end or its start, to exactly so many columns.
std::string PadRight(absl::string_view text, uint32_t columns);
std::string PadLeft(absl::string_view text, uint32_t columns);

}  // namespace hmar

#endif  // HMAR_CLIENT_TERMINAL_TEXT_COLUMNS_H_
