#include "client/load/mix.h"

#include <algorithm>
#include <set>
#include <sstream>
#include <utility>

#define TOML_EXCEPTIONS 0
#include <toml++/toml.h>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/load/mix_fields.h"
#include "client/printable.h"
#include "model/status_macros.h"

namespace hmar::load {
namespace {

constexpr size_t kMaxKeyBytes = 64;

absl::string_view View(std::string_view text) { return {text.data(), text.size()}; }

absl::Status Invalid(const std::string& where, absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat(where, ": ", what));
}

std::string FieldNames() {
  return absl::StrJoin(KindFields(), ", ", [](std::string* out, const KindField& field) {
    absl::StrAppend(out, field.name);
  });
}

absl::Status SetFromToml(const KindField& field, const toml::node& node, Kind& kind) {
  const bool numeric = IsNumeric(field);
  if (const auto* text = node.as_string(); text != nullptr && !numeric) {
    return SetField(field, text->get(), kind);
  }
  if (const auto* whole = node.as_integer(); whole != nullptr && numeric) {
    return SetField(field, absl::StrCat(whole->get()), kind);
  }
  if (const auto* number = node.as_floating_point(); number != nullptr && numeric) {
    return SetField(field, absl::StrCat(number->get()), kind);
  }
  std::ostringstream type;
  type << node.type();
  return absl::InvalidArgumentError(absl::StrCat("was of TOML's type ", type.str(), ", must be ",
                                                 numeric ? "a number" : "a string"));
}

absl::StatusOr<Kind> ParseKind(const toml::table& table, const std::string& where) {
  Kind kind;
  for (const auto& [key, node] : table) {
    const absl::string_view name = View(key.str());
    const auto& fields = KindFields();
    const auto field = std::find_if(fields.begin(), fields.end(),
                                    [&](const KindField& known) { return known.name == name; });
    if (field == fields.end()) {
      return Invalid(absl::StrCat(where, ".", Printable(name, kMaxKeyBytes)),
                     absl::StrCat("no such field; there are ", FieldNames()));
    }
    if (const absl::Status set = SetFromToml(*field, node, kind); !set.ok()) {
      return Invalid(absl::StrCat(where, ".", field->name), std::string(set.message()));
    }
  }
  if (const absl::Status fits = CheckKind(kind); !fits.ok()) {
    return Invalid(where, std::string(fits.message()));
  }
  return kind;
}

// The [[mix]] array, and nothing beside it.
absl::StatusOr<const toml::array*> MixTables(const toml::table& file, const std::string& source) {
  for (const auto& [key, node] : file) {
    if (key.str() != "mix") {
      return Invalid(source, absl::StrCat("'", Printable(View(key.str()), kMaxKeyBytes),
                                          "': no such key; there are only [[mix]] tables"));
    }
  }
  const toml::array* tables = file["mix"].as_array();
  if (tables == nullptr || !tables->is_homogeneous(toml::node_type::table)) {
    return Invalid(source, absl::StrCat("needs 1 .. ", kMaxKinds, " [[mix]] tables"));
  }
  if (tables->size() > kMaxKinds) {
    return Invalid(source,
                   absl::StrCat("has ", tables->size(), " [[mix]] tables, at most ", kMaxKinds));
  }
  return tables;
}

}  // namespace

absl::Status CheckKind(const Kind& kind) {
  if (kind.method == "generate_images" && kind.previews != "none") {
    return absl::InvalidArgumentError(absl::StrCat(
        "previews: was '", kind.previews, "', must be none where method is generate_images"));
  }
  return absl::OkStatus();
}

void NameKinds(std::vector<Kind>& kinds) {
  for (size_t i = 0; i < kinds.size(); ++i) {
    if (kinds[i].name.empty()) kinds[i].name = absl::StrCat(kinds[i].method, "-", i + 1);
  }
}

absl::StatusOr<std::vector<Kind>> ParseMix(absl::string_view toml, const std::string& source) {
  if (toml.size() > kMaxMixBytes) {
    return Invalid(source, absl::StrCat("has ", toml.size(), " bytes, at most ", kMaxMixBytes));
  }
  const toml::parse_result file = toml::parse(std::string_view(toml.data(), toml.size()));
  if (!file) {
    const toml::parse_error& error = file.error();
    return Invalid(absl::StrCat(source, ":", error.source().begin.line),
                   Printable(View(error.description())));
  }
  HMAR_ASSIGN_OR_RETURN(const toml::array* tables, MixTables(file.table(), source));
  std::vector<Kind> kinds;
  for (size_t i = 0; i < tables->size(); ++i) {
    const std::string where = absl::StrCat(source, ": mix[", i + 1, "]");
    HMAR_ASSIGN_OR_RETURN(Kind kind, ParseKind(*tables->get(i)->as_table(), where));
    kinds.push_back(std::move(kind));
  }
  NameKinds(kinds);
  std::set<std::string> names;
  for (size_t i = 0; i < kinds.size(); ++i) {
    if (names.insert(kinds[i].name).second) continue;
    return Invalid(absl::StrCat(source, ": mix[", i + 1, "].name"),
                   absl::StrCat("was '", kinds[i].name, "', must be another than those before it"));
  }
  return kinds;
}

Planner::Planner(const std::vector<Kind>& kinds, uint64_t first_seed, uint64_t distinct_seeds)
    : first_seed_(first_seed),
      distinct_seeds_(distinct_seeds),
      // Not the arrivals' numbers again: gaps and kinds would go together.
      random_(first_seed ^ 0x6D69786564U),
      calls_(kinds.size()) {
  double sum = 0;
  for (const Kind& kind : kinds) weights_up_to_.push_back(sum += kind.weight);
}

PlannedCall Planner::Next() {
  const double drawn = random_.NextUnit() * weights_up_to_.back();
  const auto up_to = std::upper_bound(weights_up_to_.begin(), weights_up_to_.end() - 1, drawn);
  const auto kind = static_cast<size_t>(up_to - weights_up_to_.begin());
  const uint64_t call = calls_[kind]++;
  return {kind, first_seed_ + (distinct_seeds_ == 0 ? call : call % distinct_seeds_)};
}

}  // namespace hmar::load
