#include "client/terminal/text_columns.h"

#include <unistr.h>
#include <uniwidth.h>

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace hmar {
namespace {

constexpr char kEncoding[] = "UTF-8";

// The first character's bytes, at least 1, and columns.
struct Step {
  size_t bytes;
  uint32_t columns;
};

Step FirstOf(absl::string_view text) {
  ucs4_t code = 0;
  const int bytes = u8_mbtoucr(&code, reinterpret_cast<const uint8_t*>(text.data()), text.size());
  if (bytes <= 0) return {1, 1};
  return {static_cast<size_t>(bytes),
          static_cast<uint32_t>(std::max(uc_width(code, kEncoding), 0))};
}

}  // namespace

uint32_t ColumnsOf(absl::string_view text) {
  uint32_t columns = 0;
  while (!text.empty()) {
    const Step step = FirstOf(text);
    columns += step.columns;
    text.remove_prefix(step.bytes);
  }
  return columns;
}

std::string CutToColumns(absl::string_view text, uint32_t columns) {
  size_t end = 0;
  for (uint32_t used = 0; end < text.size();) {
    const Step step = FirstOf(text.substr(end));
    used += step.columns;
    if (used > columns) break;
    end += step.bytes;
  }
  return std::string(text.substr(0, end));
}

std::string PadRight(absl::string_view text, uint32_t columns) {
  const std::string cut = CutToColumns(text, columns);
  return absl::StrCat(cut, std::string(columns - ColumnsOf(cut), ' '));
}

std::string PadLeft(absl::string_view text, uint32_t columns) {
  const std::string cut = CutToColumns(text, columns);
  return absl::StrCat(std::string(columns - ColumnsOf(cut), ' '), cut);
}

}  // namespace hmar
