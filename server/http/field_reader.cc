#include "server/http/field_reader.h"

#include <cmath>
#include <limits>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "server/http/json_reader.h"

namespace hmar {
namespace {

constexpr char kListKey[] = "list";

std::optional<uint64_t> UnsignedOf(const nlohmann::json& value) {
  if (value.is_number_unsigned()) return value.get<uint64_t>();
  const bool fits = value.is_number_integer() && value.get<int64_t>() >= 0;
  return fits ? std::optional(value.get<uint64_t>()) : std::nullopt;
}

}  // namespace

const nlohmann::json* FieldReader::Find(const std::string& name) {
  known_.insert(name);
  const auto found = fields_.values.find(name);
  if (found == fields_.values.end() || found->is_null()) return nullptr;
  const bool empty_text = fields_.as_text && found->get_ref<const std::string&>().empty();
  return empty_text ? nullptr : &*found;
}

// Through the same reader as whole bodies, for its bounds.
std::optional<nlohmann::json> FieldReader::Value(const std::string& name) {
  const Json* const value = Find(name);
  if (value == nullptr) return std::nullopt;
  if (!fields_.as_text) return *value;
  Json object;
  const std::string text = absl::StrCat("{\"", kListKey, "\":", value->get<std::string>(), "}");
  if (ReadJson(text, &object).has_value() || object.size() != 1) {
    WrongType(name, "a value of JSON");
    return std::nullopt;
  }
  return std::move(object[kListKey]);
}

void FieldReader::WrongType(const std::string& name, const char* wanted) {
  Add(Reason::kMessageInvalid, name, absl::StrCat("it must be ", wanted));
}

bool FieldReader::IsList(const std::string& name) {
  const Json* const value = Find(name);
  if (value == nullptr) return false;
  return fields_.as_text ? value->get_ref<const std::string&>().front() == '['
                         : !value->is_string();
}

std::optional<std::string> FieldReader::Text(const std::string& name) {
  const Json* const value = Find(name);
  if (value == nullptr) return std::nullopt;
  if (value->is_string()) return value->get<std::string>();
  WrongType(name, "a text");
  return std::nullopt;
}

std::optional<int64_t> FieldReader::Integer(const std::string& name, int64_t min, int64_t max) {
  const std::optional<Json> value = Value(name);
  if (!value.has_value()) return std::nullopt;
  if (!value->is_number_integer()) {
    WrongType(name, "an integer");
    return std::nullopt;
  }
  const bool huge =
      value->is_number_unsigned() &&
      value->get<uint64_t>() > static_cast<uint64_t>(std::numeric_limits<int64_t>::max());
  if (huge || value->get<int64_t>() < min || value->get<int64_t>() > max) {
    Add(Reason::kFieldOutOfRange, name, absl::StrCat(value->dump(), "; ", min, " to ", max));
    return std::nullopt;
  }
  return value->get<int64_t>();
}

std::optional<uint64_t> FieldReader::Unsigned64(const std::string& name) {
  const Json* const value = Find(name);
  if (value == nullptr) return std::nullopt;
  if (const auto given = UnsignedOf(*value)) return given;
  uint64_t number = 0;
  const bool digits =
      value->is_string() && !value->get_ref<const std::string&>().empty() &&
      value->get_ref<const std::string&>().find_first_not_of("0123456789") == std::string::npos;
  if (digits && absl::SimpleAtoi(value->get_ref<const std::string&>(), &number)) return number;
  Add(Reason::kFieldOutOfRange, name, "it must be an integer from 0 to 18446744073709551615");
  return std::nullopt;
}

std::optional<double> FieldReader::Number(const std::string& name) {
  const std::optional<Json> value = Value(name);
  if (!value.has_value()) return std::nullopt;
  if (value->is_number()) return value->get<double>();
  WrongType(name, "a number");
  return std::nullopt;
}

std::optional<bool> FieldReader::Flag(const std::string& name) {
  const Json* const value = Find(name);
  if (value == nullptr) return std::nullopt;
  if (value->is_boolean()) return value->get<bool>();
  if (fields_.as_text && (*value == "true" || *value == "false")) return *value == "true";
  WrongType(name, "true or false");
  return std::nullopt;
}

std::optional<std::vector<uint32_t>> FieldReader::ToList(const std::string& name,
                                                         const Json& value) {
  std::vector<uint32_t> list;
  if (value.is_array()) {
    for (const Json& entry : value) {
      const std::optional<uint64_t> number = UnsignedOf(entry);
      if (!number.has_value() || *number > UINT32_MAX) break;
      list.push_back(static_cast<uint32_t>(*number));
    }
    if (list.size() == value.size()) return list;
  }
  Add(Reason::kMessageInvalid, name, "it must be a list of integers from 0 to 4294967295");
  return std::nullopt;
}

std::optional<std::vector<uint32_t>> FieldReader::List(const std::string& name) {
  const std::optional<Json> value = Value(name);
  return value.has_value() ? ToList(name, *value) : std::nullopt;
}

std::optional<FieldReader::Lists> FieldReader::ListOfLists(const std::string& name) {
  const std::optional<Json> value = Value(name);
  if (!value.has_value()) return std::nullopt;
  if (!value->is_array()) {
    WrongType(name, "a list with a list of tokens for each scale");
    return std::nullopt;
  }
  Lists lists;
  for (const Json& entry : *value) {
    auto list = ToList(absl::StrCat(name, "[", lists.size(), "]"), entry);
    if (!list.has_value()) return std::nullopt;  // One will do.
    lists.push_back(*std::move(list));
  }
  return lists;
}

std::optional<size_t> FieldReader::OneOf(const std::string& name,
                                         absl::Span<const char* const> choices) {
  const std::optional<std::string> text = Text(name);
  if (!text.has_value()) return std::nullopt;
  for (size_t i = 0; i < choices.size(); ++i) {
    if (*text == choices[i]) return i;
  }
  Add(Reason::kUnknownEnumValue, name,
      absl::StrCat(Quoted(*text), " is none of ", absl::StrJoin(choices, ", ")));
  return std::nullopt;
}

std::optional<std::vector<uint32_t>> FieldReader::Box(const std::string& name) {
  const Json* const value = Find(name);
  if (value == nullptr) return std::nullopt;
  std::vector<uint32_t> box;
  if (value->is_string()) {
    for (const absl::string_view piece :
         absl::StrSplit(value->get_ref<const std::string&>(), absl::MaxSplits(',', 4))) {
      uint32_t number = 0;
      if (!absl::SimpleAtoi(piece, &number)) break;
      box.push_back(number);
    }
    if (box.size() == 4) return box;
  } else if (value->is_array() && value->size() == 4) {
    return ToList(name, *value);
  }
  WrongType(name, "x0,y0,x1,y1 in pixels");
  return std::nullopt;
}

std::optional<absl::string_view> FieldReader::File(const std::string& name) {
  known_.insert(name);
  const auto found = fields_.files.find(name);
  if (found == fields_.files.end()) return std::nullopt;
  return found->second;
}

void FieldReader::Ignore(std::initializer_list<const char*> names) {
  known_.insert(names.begin(), names.end());
}

void FieldReader::RefuseOthers() {
  const auto refuse = [this](const std::string& name) {
    if (!known_.contains(name)) Add(Reason::kMessageInvalid, name, "there is no such field");
  };
  for (const auto& [name, value] : fields_.values.items()) refuse(name);
  for (const auto& [name, file] : fields_.files) refuse(name);
}

}  // namespace hmar
