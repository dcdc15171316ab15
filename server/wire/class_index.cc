#include "server/wire/class_index.h"

#include <algorithm>
#include <limits>
#include <optional>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "server/base/errors.h"
#include "server/base/utf8.h"
#include "server/wire/edit_distance.h"
#include "server/wire/status_details.h"

namespace hmar {
namespace {

constexpr size_t kSuggestions = 3;

bool IsSeparator(char c) { return c == '-' || c == '_' || absl::ascii_isspace(c); }

// Equal for texts that are loosely the same. A hyphen in front stays: "-8" is not "8".
std::string Loose(absl::string_view text) {
  std::string loose;
  for (const char c : absl::StripAsciiWhitespace(text)) {
    if (!IsSeparator(c)) {
      loose += absl::ascii_tolower(c);
    } else if (loose.empty() || loose.back() != ' ') {
      loose += ' ';
    }
  }
  return loose;
}

// From the digits alone: no sign and no other base makes a number.
std::optional<uint32_t> NumberIn(absl::string_view text) {
  const std::string lower = absl::AsciiStrToLower(absl::StripAsciiWhitespace(text));
  absl::string_view digits = lower;
  absl::ConsumePrefix(&digits, "class ");
  uint32_t number = 0;
  if (!std::all_of(digits.begin(), digits.end(), absl::ascii_isdigit)) return std::nullopt;
  if (!absl::SimpleAtoi(digits, &number)) return std::nullopt;
  return number;
}

}  // namespace

ClassIndex::ClassIndex(const ModelConfig& config) : model_(config.name), names_(config.classes) {
  for (uint32_t id = 0; id < names_.size(); ++id) {
    by_name_.emplace(names_[id], id);
    Add(id, names_[id], /*is_name=*/true);
    if (id >= config.class_aliases.size()) continue;
    for (const std::string& alias : config.class_aliases[id]) Add(id, alias, /*is_name=*/false);
  }
}

void ClassIndex::Add(uint32_t id, const std::string& text, bool is_name) {
  const std::string loose = Loose(text);
  if (!loose.empty()) {
    Ids& ids = (is_name ? by_loose_name_ : by_loose_alias_)[loose];
    if (ids.empty() || ids.back() != id) ids.push_back(id);
  }
  spellings_.push_back({id, text, is_name});
  loose_.push_back(CodePointsOf(loose));
}

absl::StatusOr<uint32_t> ClassIndex::Find(absl::string_view text) const {
  if (text.size() > kMaxClassNameBytes) {
    return ErrorOf(Reason::kUnknownClass,
                   absl::StrCat("model ", model_, " has no class ", Quoted(text),
                                "; a name has at most ", kMaxClassNameBytes, " bytes"));
  }
  if (const auto it = by_name_.find(text); it != by_name_.end()) return it->second;
  const std::string loose = Loose(text);
  for (const auto* by_loose : {&by_loose_name_, &by_loose_alias_}) {
    const auto it = by_loose->find(loose);
    if (it == by_loose->end()) continue;
    if (it->second.size() == 1) return it->second.front();
    return Ambiguous(text, it->second);
  }
  const std::optional<uint32_t> number = NumberIn(text);
  if (number.has_value() && *number < names_.size()) return *number;
  return Unknown(text);
}

std::vector<ClassSpelling> ClassIndex::Nearest(absl::string_view text, size_t count) const {
  const EditDistance from(CodePointsOf(Loose(text.substr(0, kMaxClassNameBytes))));
  struct Candidate {
    size_t distance;
    size_t spelling;
  };
  std::vector<Candidate> best;  // At most `count`, nearest first.
  for (size_t i = 0; i < spellings_.size();) {
    const uint32_t id = spellings_[i].class_id;
    Candidate candidate{std::numeric_limits<size_t>::max(), i};
    for (; i < spellings_.size() && spellings_[i].class_id == id; ++i) {
      const size_t distance = from.To(loose_[i]);
      if (distance < candidate.distance) candidate = {distance, i};
    }
    const auto place = std::upper_bound(
        best.begin(), best.end(), candidate,
        [](const Candidate& a, const Candidate& b) { return a.distance < b.distance; });
    best.insert(place, candidate);
    if (best.size() > count) best.pop_back();
  }
  std::vector<ClassSpelling> nearest;
  nearest.reserve(best.size());
  for (const Candidate& candidate : best) nearest.push_back(spellings_[candidate.spelling]);
  return nearest;
}

absl::Status ClassIndex::Unknown(absl::string_view text) const {
  const std::string nearest = absl::StrJoin(
      Nearest(text, kSuggestions), ", ", [this](std::string* out, const ClassSpelling& spelling) {
        absl::StrAppend(out, Quoted(spelling.text));
        if (!spelling.is_name) absl::StrAppend(out, " (", Quoted(names_[spelling.class_id]), ")");
      });
  return ErrorOf(
      Reason::kUnknownClass,
      absl::StrCat("model ", model_, " has no class ", Quoted(text), "; the nearest are ", nearest,
                   "; it has ", names_.size(), " classes, from 0"));
}

absl::Status ClassIndex::Ambiguous(absl::string_view text, const Ids& ids) const {
  std::string classes;
  for (size_t i = 0; i < std::min(ids.size(), kSuggestions); ++i) {
    absl::StrAppend(&classes, i == 0 ? "" : ", ", Quoted(names_[ids[i]]), " (", ids[i], ")");
  }
  return ErrorOf(
      Reason::kUnknownClass,
      absl::StrCat("model ", model_, " has ", ids.size(), " classes called ", Quoted(text), ": ",
                   classes, ids.size() > kSuggestions ? ", ..." : ""));
}

}  // namespace hmar
