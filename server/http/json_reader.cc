#include "server/http/json_reader.h"

#include <set>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"

namespace hmar {
namespace {

using Json = nlohmann::json;

// Counts; the functions' names are nlohmann's.
class JsonWalk final : public nlohmann::json_sax<Json> {
 public:
  bool null() override { return Count(); }
  bool boolean(bool) override { return Count(); }
  bool number_integer(number_integer_t) override { return Count(); }
  bool number_unsigned(number_unsigned_t) override { return Count(); }
  bool number_float(number_float_t, const string_t&) override { return Count(); }
  bool string(string_t&) override { return Count(); }
  bool binary(binary_t&) override { return Count(); }
  bool start_object(size_t) override { return Open(); }
  bool end_object() override { return Close(); }
  bool start_array(size_t) override { return depth_ > 0 ? Open() : Fail("it is no object"); }
  bool end_array() override { return Close(); }

  bool key(string_t& name) override {
    if (depth_ == 1 && !keys_.insert(name).second) return Fail("a field is given twice");
    return Count();
  }

  bool parse_error(size_t position, const std::string&,
                   const nlohmann::detail::exception&) override {
    return Fail(absl::StrCat("it is not well-formed at byte ", position));
  }

  const std::string& fault() const { return fault_; }

 private:
  bool Fail(std::string why) {
    if (fault_.empty()) fault_ = std::move(why);
    return false;
  }

  bool Count() {
    if (depth_ == 0) return Fail("it is no object");
    if (++items_ <= kMaxJsonItems) return true;
    return Fail(absl::StrCat("it has more than ", kMaxJsonItems, " values"));
  }

  bool Open() {
    if (depth_ > 0 && !Count()) return false;
    if (++depth_ <= kMaxJsonDepth) return true;
    return Fail(absl::StrCat("it is nested more than ", kMaxJsonDepth, " deep"));
  }

  bool Close() {
    --depth_;
    return true;
  }

  size_t items_ = 0;
  size_t depth_ = 0;
  std::set<std::string> keys_;
  std::string fault_;
};

}  // namespace

std::optional<HttpFault> ReadJson(absl::string_view text, nlohmann::json* object) {
  JsonWalk walk;
  if (!Json::sax_parse(text.begin(), text.end(), &walk)) {
    return HttpFault{400, absl::StrCat("the body is not the JSON of a request: ", walk.fault())};
  }
  *object = Json::parse(text.begin(), text.end(), nullptr, /*allow_exceptions=*/false);
  if (object->is_object()) return std::nullopt;
  return HttpFault{400, "the body is not the JSON of a request"};
}

}  // namespace hmar
