#ifndef HMAR_SERVER_WIRE_CLASS_INDEX_H_
#define HMAR_SERVER_WIRE_CLASS_INDEX_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "model/config.h"

namespace hmar {

// One of the things that a class is called.
struct ClassSpelling {
  uint32_t class_id = 0;
  std::string text;  // As the model's configuration has it.
  bool is_name = false;
};

// Finds a model's classes by what people call them. Immutable, so safe from any thread.
class ClassIndex {
 public:
  explicit ClassIndex(const ModelConfig& config);

  // The class that is called so; the first of these that there is:
  //   1. the name, letter by letter;
  //   2. the name, 3. an alias, both loosely: ASCII letters in any case; spaces, hyphens and
  //      underscores, one or several, are the same; spaces around the text do not count;
  //   4. the number, in digits; or "class" and the number, as classes without names are called.
  // UNKNOWN_CLASS otherwise, with the three nearest in the message. So, too, if names or aliases of
  // several classes are loosely this text; the message then has these classes. Any text is safe;
  // one of more than kMaxClassNameBytes is refused unread.
  absl::StatusOr<uint32_t> Find(absl::string_view text) const;

  // The spellings nearest to the text by edit distance, loosely, nearest first: of each class at
  // most one, at most `count`; of those equally near the lower id. Only the text's first
  // EditDistance::kMaxCharacters characters count, within its first kMaxClassNameBytes. Costs some
  // nanoseconds a character of all spellings, whatever the text.
  std::vector<ClassSpelling> Nearest(absl::string_view text, size_t count) const;

 private:
  using Ids = std::vector<uint32_t>;

  void Add(uint32_t id, const std::string& text, bool is_name);
  absl::Status Unknown(absl::string_view text) const;
  absl::Status Ambiguous(absl::string_view text, const Ids& ids) const;

  const std::string model_;
  std::vector<std::string> names_;  // By class id.
  absl::flat_hash_map<std::string, uint32_t> by_name_;
  absl::flat_hash_map<std::string, Ids> by_loose_name_;
  absl::flat_hash_map<std::string, Ids> by_loose_alias_;
  std::vector<ClassSpelling> spellings_;  // Of each class the name, then its aliases.
  std::vector<std::u32string> loose_;     // The same, in characters.
};

}  // namespace hmar

#endif  // HMAR_SERVER_WIRE_CLASS_INDEX_H_
