#include "model/json_reader.h"

#include <utility>

#include "absl/strings/str_cat.h"

namespace hmar {
namespace {

using nlohmann::json;

// Values that the errors below quote; arrays and objects could be of any size and depth.
std::string Quoted(const json& value) {
  constexpr size_t kMaxQuoted = 60;
  if (value.is_structured()) return absl::StrCat("an ", value.type_name());
  std::string text = value.dump(-1, ' ', /*ensure_ascii=*/true);
  if (text.size() > kMaxQuoted) text = text.substr(0, kMaxQuoted) + "...";
  return text;
}

std::string Element(const std::string& key, size_t index) {
  return absl::StrCat(key, "[", index, "]");
}

}  // namespace

JsonReader::JsonReader(const json& object, std::string path, absl::Status* status)
    : object_(object), path_(std::move(path)), status_(status) {}

bool JsonReader::Has(const char* key) const { return object_.contains(key); }

std::vector<std::string> JsonReader::Keys() const {
  std::vector<std::string> keys;
  if (!object_.is_object()) return keys;
  for (const auto& field : object_.items()) keys.push_back(field.key());
  return keys;
}

void JsonReader::Check(bool ok, const std::string& key, const std::string& found_and_wanted) {
  if (ok || !status_->ok()) return;
  *status_ = absl::InvalidArgumentError(absl::StrCat(path_, key, " ", found_and_wanted));
}

const json& JsonReader::Find(const std::string& key) {
  static const json* const kNothing = new json();
  const auto found = object_.find(key);
  if (found == object_.end()) {
    Check(false, key, "is missing");
    return *kNothing;
  }
  return *found;
}

JsonReader JsonReader::Object(const char* key) {
  const json& value = Find(key);
  Check(value.is_object(), key, absl::StrCat("is ", Quoted(value), "; must be an object"));
  return JsonReader(value, absl::StrCat(path_, key, "."), status_);
}

int64_t JsonReader::Integer(const json& value, const std::string& key, int64_t min, int64_t max) {
  // JSON integers beyond int64 are unsigned in the library's eyes, and would wrap.
  const bool fits = value.is_number_integer() &&
                    (!value.is_number_unsigned() || value.get<uint64_t>() <= uint64_t{INT64_MAX});
  const bool ok = fits && value.get<int64_t>() >= min && value.get<int64_t>() <= max;
  Check(ok, key,
        absl::StrCat("is ", Quoted(value), "; must be an integer from ", min, " to ", max));
  return ok ? value.get<int64_t>() : min;
}

int JsonReader::Int(const char* key, int min, int max) {
  return static_cast<int>(Integer(Find(key), key, min, max));
}

double JsonReader::Real(const char* key, double min, double max) {
  const json& value = Find(key);
  const bool ok = value.is_number() && value.get<double>() >= min && value.get<double>() <= max;
  Check(ok, key, absl::StrCat("is ", Quoted(value), "; must be a number from ", min, " to ", max));
  return ok ? value.get<double>() : min;
}

bool JsonReader::Bool(const char* key) {
  const json& value = Find(key);
  Check(value.is_boolean(), key, absl::StrCat("is ", Quoted(value), "; must be true or false"));
  return value.is_boolean() && value.get<bool>();
}

std::string JsonReader::Text(const json& value, const std::string& key, size_t max_bytes) {
  const auto* text = value.get_ptr<const std::string*>();
  const bool ok = text != nullptr && !text->empty() && text->size() <= max_bytes;
  Check(ok, key,
        absl::StrCat("is ", Quoted(value), "; must be a string of 1 to ", max_bytes, " bytes"));
  return ok ? *text : "";
}

std::string JsonReader::String(const char* key, size_t max_bytes) {
  return Text(Find(key), key, max_bytes);
}

bool JsonReader::HasSize(const json& array, const std::string& key, size_t min, size_t max) {
  const bool ok = array.is_array() && array.size() >= min && array.size() <= max;
  const std::string found =
      array.is_array() ? absl::StrCat("has ", array.size(), " entries") : "is " + Quoted(array);
  Check(ok, key, absl::StrCat(found, "; must be an array of ", min, " to ", max, " entries"));
  return ok;
}

std::vector<int> JsonReader::Ints(const char* key, size_t min_size, size_t max_size, int min,
                                  int max) {
  const json& array = Find(key);
  std::vector<int> values;
  if (!HasSize(array, key, min_size, max_size)) return values;
  for (size_t i = 0; i < array.size(); ++i) {
    values.push_back(static_cast<int>(Integer(array[i], Element(key, i), min, max)));
  }
  return values;
}

std::vector<std::string> JsonReader::Strings(const std::string& key, size_t max_size,
                                             size_t max_bytes) {
  const json& array = Find(key);
  std::vector<std::string> values;
  if (!HasSize(array, key, 1, max_size)) return values;
  for (size_t i = 0; i < array.size(); ++i) {
    values.push_back(Text(array[i], Element(key, i), max_bytes));
  }
  return values;
}

std::vector<std::vector<uint32_t>> JsonReader::Lists(const char* key, size_t max_size,
                                                     size_t max_list_size) {
  const json& array = Find(key);
  std::vector<std::vector<uint32_t>> lists;
  if (!HasSize(array, key, 1, max_size)) return lists;
  for (size_t i = 0; i < array.size(); ++i) {
    lists.emplace_back();
    if (!HasSize(array[i], Element(key, i), 1, max_list_size)) continue;
    for (size_t j = 0; j < array[i].size(); ++j) {
      lists[i].push_back(static_cast<uint32_t>(
          Integer(array[i][j], Element(Element(key, i), j), 1, max_list_size)));
    }
  }
  return lists;
}

}  // namespace hmar
