#ifndef HMAR_CLIENT_LOAD_MIX_FIELDS_H_
#define HMAR_CLIENT_LOAD_MIX_FIELDS_H_

// The fields of a Kind, declared once: keys of a mix file, flags, --help.

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "client/load/mix.h"

namespace hmar::load {

struct WholeField {
  int64_t Kind::*member;
  int64_t least;
  int64_t most;
};
struct NumberField {  // In (0, most].
  double Kind::*member;
  double most;
};
struct ChoiceField {
  std::string Kind::*member;
  std::vector<std::string> choices;
};
struct NameField {  // 1 .. 64 of A-Z, a-z, 0-9, dot, dash, underscore and slash.
  std::string Kind::*member;
};
struct PathField {  // 1 .. 4096 bytes, no NUL.
  std::string Kind::*member;
};

struct KindField {
  std::string name;
  std::string meaning;
  std::variant<WholeField, NumberField, ChoiceField, NameField, PathField> type;
};

// In the order of --help. Thread-safe.
const std::vector<KindField>& KindFields();

// Sets the field. The value is a number's digits, or the text. INVALID_ARGUMENT: "was V, must be
// ...", without the field's name.
absl::Status SetField(const KindField& field, absl::string_view value, Kind& kind);

// Whether the field wants a number: then a text, "3", is a mistake in a file.
bool IsNumeric(const KindField& field);

}  // namespace hmar::load

#endif  // HMAR_CLIENT_LOAD_MIX_FIELDS_H_
