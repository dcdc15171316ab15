#ifndef HMAR_SERVER_HTTP_JSON_WRITER_H_
#define HMAR_SERVER_HTTP_JSON_WRITER_H_

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace hmar {

// Writes one JSON object, field by field. Pictures go in as base64 without being looked at again,
// as a general writer of JSON would. Thread-compatible.
class JsonWriter {
 public:
  JsonWriter& Text(absl::string_view key, absl::string_view value) {
    return Raw(key, nlohmann::json(std::string(value))
                        .dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
  }
  template <typename Value>
  JsonWriter& Number(absl::string_view key, Value value) {
    return Raw(key, nlohmann::json(value).dump());
  }
  JsonWriter& Flag(absl::string_view key, bool value) { return Raw(key, value ? "true" : "false"); }
  // 64 bits as a decimal text: many readers of JSON have 53.
  JsonWriter& Wide(absl::string_view key, uint64_t value) {
    return Raw(key, absl::StrCat("\"", value, "\""));
  }
  JsonWriter& Base64(absl::string_view key, absl::string_view bytes) {
    return Raw(key, absl::StrCat("\"", absl::Base64Escape(bytes), "\""));
  }
  // `json` is the value, well-formed.
  JsonWriter& Raw(absl::string_view key, absl::string_view json) {
    absl::StrAppend(&text_, text_.empty() ? "{" : ",", "\"", key, "\":", json);
    return *this;
  }

  // The object; nothing more is written.
  std::string Take() {
    text_ += text_.empty() ? "{}" : "}";
    return std::move(text_);
  }

 private:
  std::string text_;
};

}  // namespace hmar

#endif  // HMAR_SERVER_HTTP_JSON_WRITER_H_
