#include "server/keys/key_file.h"

#include <algorithm>
#include <chrono>
#include <fstream>
#include <functional>
#include <map>
#include <set>
#include <utility>

#define TOML_EXCEPTIONS 0
#include <toml++/toml.h>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "model/status_macros.h"

namespace hmar {
namespace {

constexpr uint32_t kMaxImagesPerMinute = 1'000'000'000;
constexpr uint32_t kMaxQueuedImages = 1'000'000;
constexpr int kPriorityBound = 10;
constexpr double kMinWeight = 0.01, kMaxWeight = 100;

// What a field's reader says of a value that it cannot take: "must be ...". Empty: taken.
using Complaint = std::string;
using Reader = std::function<Complaint(const toml::node& node, Key* key)>;

bool IsName(const std::string& text) {
  return !text.empty() && text.size() <= kMaxKeyNameBytes &&
         std::all_of(text.begin(), text.end(), [](unsigned char c) {
           return absl::ascii_isalnum(c) || c == '.' || c == '_' || c == '-';
         });
}

Complaint ReadName(const toml::node& node, Key* key) {
  const auto* text = node.as_string();
  if (text == nullptr || !IsName(text->get())) {
    return absl::StrCat("must be a string of 1 to ", kMaxKeyNameBytes,
                        " characters A-Z a-z 0-9 . _ -");
  }
  key->name = text->get();
  return "";
}

bool ReadHash(const toml::node& node, Key* key) {
  const auto* text = node.as_string();
  KeyHash hash;
  const auto is_hex = [](unsigned char c) { return absl::ascii_isxdigit(c); };
  if (text == nullptr || text->get().size() != 2 * hash.size() ||
      !std::all_of(text->get().begin(), text->get().end(), is_hex)) {
    return false;
  }
  const std::string bytes = absl::HexStringToBytes(text->get());
  std::copy(bytes.begin(), bytes.end(), hash.begin());
  key->hashes.push_back(hash);
  return true;
}

Complaint ReadHashes(const toml::node& node, Key* key) {
  const toml::array* array = node.as_array();
  bool good =
      array != nullptr ? !array->empty() && array->size() <= kMaxHashesOfKey : ReadHash(node, key);
  if (good && array != nullptr) {
    for (const toml::node& each : *array) good = good && ReadHash(each, key);
  }
  if (good) return "";
  return absl::StrCat("must be the SHA-256 of a key in 64 hex digits, or an array of 1 to ",
                      kMaxHashesOfKey, " such strings");
}

Complaint ReadModels(const toml::node& node, absl::Span<const std::string> served, Key* key) {
  const toml::array* array = node.as_array();
  Complaint complaint = absl::StrCat("must be an array of names of models that this server has: ",
                                     absl::StrJoin(served, ", "));
  if (array == nullptr || array->size() > served.size()) return complaint;
  std::vector<std::string> models;
  for (const toml::node& each : *array) {
    const auto* name = each.as_string();
    if (name == nullptr || std::find(served.begin(), served.end(), name->get()) == served.end()) {
      return complaint;
    }
    models.push_back(name->get());
  }
  key->models = std::move(models);
  return "";
}

template <typename T>
Complaint ReadInteger(const toml::node& node, int64_t least, int64_t most, std::optional<T>* to) {
  const auto* number = node.as_integer();
  if (number == nullptr || number->get() < least || number->get() > most) {
    return absl::StrCat("must be an integer of ", least, " to ", most);
  }
  *to = static_cast<T>(number->get());
  return "";
}

Complaint ReadWeight(const toml::node& node, Key* key) {
  const std::optional<double> weight = node.value<double>();
  // In this order, so that what is not a number is refused.
  if (!node.is_number() || !(*weight >= kMinWeight && *weight <= kMaxWeight)) {
    return absl::StrCat("must be a number of ", kMinWeight, " to ", kMaxWeight);
  }
  key->weight = *weight;
  return "";
}

// A date alone ends with its day; without an offset a time is UTC.
Complaint ReadExpiry(const toml::node& node, Key* key) {
  const auto day_of = [](const toml::date& date) {
    return absl::CivilDay(date.year, date.month, date.day);
  };
  if (const auto* date = node.as_date()) {
    key->expires = absl::FromCivil(day_of(date->get()) + 1, absl::UTCTimeZone());
    return "";
  }
  const auto* moment = node.as_date_time();
  if (moment == nullptr) return "must be a date or a time, such as 2027-01-31T00:00:00Z";
  const toml::time& time = moment->get().time;
  const int minutes = moment->get().offset.has_value() ? moment->get().offset->minutes : 0;
  key->expires = absl::FromCivil(day_of(moment->get().date), absl::UTCTimeZone()) +
                 absl::Hours(time.hour) + absl::Minutes(time.minute - minutes) +
                 absl::Seconds(time.second);
  return "";
}

std::map<std::string, Reader, std::less<>> Readers(absl::Span<const std::string> served) {
  return {
      {"name", ReadName},
      {"sha256", ReadHashes},
      {"models", [served](const auto& node, Key* key) { return ReadModels(node, served, key); }},
      {"images_per_minute",
       [](const auto& node, Key* key) {
         return ReadInteger(node, 1, kMaxImagesPerMinute, &key->images_per_minute);
       }},
      {"max_queued_images",
       [](const auto& node, Key* key) {
         return ReadInteger(node, 1, kMaxQueuedImages, &key->max_queued_images);
       }},
      {"max_priority",
       [](const auto& node, Key* key) {
         return ReadInteger(node, -kPriorityBound, kPriorityBound, &key->max_priority);
       }},
      {"weight", ReadWeight},
      {"expires", ReadExpiry},
  };
}

// Reads the tables one after the other, and says where a fault stands.
class KeysReader {
 public:
  KeysReader(const std::string& source, absl::Span<const std::string> models)
      : source_(source), readers_(Readers(models)) {}

  absl::Status ReadTable(const toml::table& table) {
    Key key;
    for (const auto& [name, node] : table) {
      const auto reader = readers_.find(name.str());
      if (reader == readers_.end()) {
        return Fault(name.source().begin.line, absl::StrCat("no such field: ", Shown(name.str()),
                                                            "; a key has ", FieldNames()));
      }
      if (const Complaint complaint = reader->second(node, &key); !complaint.empty()) {
        return Fault(node.source().begin.line, absl::StrCat(reader->first, " ", complaint));
      }
    }
    return Take(std::move(key), table.source().begin.line);
  }

  absl::Status Fault(uint32_t line, const std::string& what) const {
    return absl::InvalidArgumentError(absl::StrCat(source_, ":", line, ": ", what));
  }

  static std::string Shown(std::string_view text) {
    return absl::CHexEscape(absl::string_view(text.data(), std::min<size_t>(text.size(), 64)));
  }

  std::vector<Key> keys() && { return std::move(keys_); }

 private:
  std::string FieldNames() const {
    return absl::StrJoin(readers_, ", ", [](std::string* out, const auto& reader) {
      absl::StrAppend(out, reader.first);
    });
  }

  absl::Status Take(Key key, uint32_t line) {
    if (key.name.empty()) return Fault(line, "a key without a name");
    if (key.hashes.empty()) return Fault(line, absl::StrCat("key ", key.name, " has no sha256"));
    if (!names_.insert(key.name).second) {
      return Fault(line, absl::StrCat("a second key named ", key.name));
    }
    for (const KeyHash& hash : key.hashes) {
      if (hashes_.insert(hash).second) continue;
      return Fault(line, absl::StrCat("key ", key.name, " has a sha256 that stands here before"));
    }
    keys_.push_back(std::move(key));
    return absl::OkStatus();
  }

  const std::string source_;
  const std::map<std::string, Reader, std::less<>> readers_;
  std::set<std::string> names_;
  std::set<KeyHash> hashes_;
  std::vector<Key> keys_;
};

}  // namespace

absl::StatusOr<std::vector<Key>> ParseKeys(absl::string_view toml, const std::string& source,
                                           absl::Span<const std::string> models) {
  KeysReader reader(source, models);
  const toml::parse_result file = toml::parse(std::string_view(toml.data(), toml.size()));
  if (!file) {
    const std::string_view what = file.error().description();
    return reader.Fault(file.error().source().begin.line, KeysReader::Shown(what));
  }
  const toml::array* tables = nullptr;
  for (const auto& [name, node] : file.table()) {
    tables = name.str() == "key" ? node.as_array() : nullptr;
    if (tables != nullptr && tables->is_homogeneous(toml::node_type::table)) continue;
    return reader.Fault(name.source().begin.line, "there are only [[key]] tables in a keys file");
  }
  if (tables == nullptr) return reader.Fault(1, "no [[key]] table");
  if (tables->size() > kMaxKeys) {
    return reader.Fault(1, absl::StrCat(tables->size(), " keys; at most ", kMaxKeys));
  }
  for (const toml::node& table : *tables) {
    HMAR_RETURN_IF_ERROR(reader.ReadTable(*table.as_table()));
  }
  return std::move(reader).keys();
}

absl::StatusOr<std::vector<Key>> ReadKeys(const std::string& path,
                                          absl::Span<const std::string> models) {
  std::ifstream file(path, std::ios::binary);
  std::string text(kMaxKeysFileBytes + 1, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (!file.eof() || file.bad()) {
    const bool large = file.gcount() > static_cast<std::streamsize>(kMaxKeysFileBytes);
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": ",
                     large ? absl::StrCat("larger than ", kMaxKeysFileBytes, " bytes")
                           : std::string("cannot be read")));
  }
  text.resize(static_cast<size_t>(file.gcount()));
  return ParseKeys(text, path, models);
}

}  // namespace hmar
