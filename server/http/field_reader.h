#ifndef HMAR_SERVER_HTTP_FIELD_READER_H_
#define HMAR_SERVER_HTTP_FIELD_READER_H_

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "server/http/form_fields.h"
#include "server/wire/violations.h"

namespace hmar {

// Takes typed values out of a form, and adds what is wrong with them. An absent field, a null or,
// in a form of text, an empty text is nothing. Thread-compatible.
class FieldReader {
 public:
  using Lists = std::vector<std::vector<uint32_t>>;

  // Both outlive it.
  FieldReader(const FormFields* fields, Violations* violations)
      : fields_(*fields), violations_(*violations) {}

  bool Has(const std::string& name) { return Find(name) != nullptr; }
  // As it came; null: absent.
  const nlohmann::json* Raw(const std::string& name) { return Find(name); }
  // Whether it is meant as a list, right or wrong.
  bool IsList(const std::string& name);
  std::optional<std::string> Text(const std::string& name);
  // From `min` to `max`.
  std::optional<int64_t> Integer(const std::string& name, int64_t min, int64_t max);
  // A number or its decimal text: JSON's numbers have 53 bits for many.
  std::optional<uint64_t> Unsigned64(const std::string& name);
  std::optional<double> Number(const std::string& name);
  std::optional<bool> Flag(const std::string& name);
  std::optional<std::vector<uint32_t>> List(const std::string& name);
  std::optional<Lists> ListOfLists(const std::string& name);
  // One of these texts: its place.
  std::optional<size_t> OneOf(const std::string& name, absl::Span<const char* const> choices);
  // "x0,y0,x1,y1" or a list of four.
  std::optional<std::vector<uint32_t>> Box(const std::string& name);
  std::optional<absl::string_view> File(const std::string& name);

  void Ignore(std::initializer_list<const char*> names);
  // Every field that nobody has asked for is a violation.
  void RefuseOthers();
  void Add(Reason reason, const std::string& name, const std::string& what) {
    violations_.Add(reason, name, what);
  }

 private:
  using Json = nlohmann::json;

  const Json* Find(const std::string& name);
  // A value that may have come as text: parsed then.
  std::optional<Json> Value(const std::string& name);
  std::optional<std::vector<uint32_t>> ToList(const std::string& name, const Json& value);
  void WrongType(const std::string& name, const char* wanted);

  const FormFields& fields_;
  Violations& violations_;
  std::set<std::string> known_;
};

}  // namespace hmar

#endif  // HMAR_SERVER_HTTP_FIELD_READER_H_
