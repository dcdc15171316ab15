#ifndef HMAR_MODEL_JSON_READER_H_
#define HMAR_MODEL_JSON_READER_H_

// Internal to model/: typed, bounded reading of one JSON object.

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/status/status.h"

namespace hmar {

// Reads the fields of one JSON object and keeps the first thing wrong in `*status`, with the
// field's path, the value found and what was wanted. A getter returns an empty value (for numbers:
// the minimum) once anything was wrong, so that a caller may read everything and look at the status
// once. Keys that nobody asks for are ignored.
class JsonReader {
 public:
  // `path` leads every field's name in errors ("config.json: vqvae."). All must outlive the reader.
  JsonReader(const nlohmann::json& object, std::string path, absl::Status* status);

  bool Has(const char* key) const;
  std::vector<std::string> Keys() const;  // Sorted; those of an object alone.

  JsonReader Object(const char* key);
  int Int(const char* key, int min, int max);            // Inclusive. 4.0 is not an integer.
  double Real(const char* key, double min, double max);  // Inclusive.
  bool Bool(const char* key);
  std::string String(const char* key, size_t max_bytes);  // Not empty.
  std::vector<int> Ints(const char* key, size_t min_size, size_t max_size, int min, int max);
  std::vector<std::string> Strings(const std::string& key, size_t max_size, size_t max_bytes);
  std::vector<std::vector<uint32_t>> Lists(const char* key, size_t max_size, size_t max_list_size);

  // Records a rule that spans fields.
  void Check(bool ok, const std::string& key, const std::string& found_and_wanted);

 private:
  const nlohmann::json& Find(const std::string& key);
  bool HasSize(const nlohmann::json& array, const std::string& key, size_t min, size_t max);
  int64_t Integer(const nlohmann::json& value, const std::string& key, int64_t min, int64_t max);
  std::string Text(const nlohmann::json& value, const std::string& key, size_t max_bytes);

  const nlohmann::json& object_;
  std::string path_;
  absl::Status* status_;
};

}  // namespace hmar

#endif  // HMAR_MODEL_JSON_READER_H_
