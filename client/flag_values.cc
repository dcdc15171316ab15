#include "client/flag_values.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <iterator>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/time.h"

namespace hmar {
namespace {

constexpr size_t kMaxNameBytes = 64;

// Digits alone: SimpleAtoi would take " +1", CLI11 2.1 takes -1 and 2^70 for the largest number.
template <typename T>
bool ParseUnsigned(const std::string& text, T& value) {
  return text.find_first_not_of("0123456789") == std::string::npos &&
         absl::SimpleAtoi(text, &value);
}

std::optional<EditBox> ParseBox(const std::string& text) {
  EditBox box;
  uint32_t* const corners[] = {&box.x0, &box.y0, &box.x1, &box.y1};
  const std::vector<std::string> numbers = absl::StrSplit(text, ',');
  if (numbers.size() != std::size(corners)) return std::nullopt;
  for (size_t i = 0; i < numbers.size(); ++i) {
    if (!ParseUnsigned(numbers[i], *corners[i])) return std::nullopt;
  }
  return box;
}

}  // namespace

CLI::Validator Seconds() {
  return {[](const std::string& text) -> std::string {
            double seconds = 0;  // CLI::PositiveNumber takes infinities.
            const bool number = CLI::detail::lexical_cast(text, seconds);
            return number && std::isfinite(seconds) && seconds > 0
                       ? ""
                       : "'" + text + "' is not a positive number of seconds";
          },
          "SECONDS"};
}

template <typename T>
CLI::Validator Unsigned() {
  return {[](const std::string& text) -> std::string {
            T value = 0;
            if (ParseUnsigned(text, value)) return "";
            return absl::StrCat("'", text, "' is not in [0, 2^", 8 * sizeof(T), ")");
          },
          ""};
}

template CLI::Validator Unsigned<uint32_t>();
template CLI::Validator Unsigned<uint64_t>();

CLI::Validator NotEmpty() {
  return {[](const std::string& text) -> std::string { return text.empty() ? "is empty" : ""; },
          ""};
}

CLI::Validator PngName() {
  return {[](const std::string& path) -> std::string {
            const bool named =
                absl::EndsWith(path, ".png") && std::filesystem::path(path).has_extension();
            return named ? "" : "'" + path + "' does not end in .png";
          },
          "FILE.png"};
}

CLI::Validator KeyName() {
  return {[](const std::string& name) -> std::string {
            const bool good = !name.empty() && name.size() <= kMaxNameBytes &&
                              std::all_of(name.begin(), name.end(), [](unsigned char c) {
                                return absl::ascii_isalnum(c) || c == '.' || c == '_' || c == '-';
                              });
            if (good) return "";
            return absl::StrCat("'", name, "' is not 1 to ", kMaxNameBytes,
                                " characters A-Z a-z 0-9 . _ -");
          },
          "NAME"};
}

// Written again as it was: absl takes dates of other forms, too, which TOML does not.
CLI::Validator DateOrTime() {
  return {[](const std::string& text) -> std::string {
            for (const char* format : {"%Y-%m-%d", "%Y-%m-%dT%H:%M:%SZ"}) {
              absl::Time time;
              if (absl::ParseTime(format, text, &time, nullptr) &&
                  absl::FormatTime(format, time, absl::UTCTimeZone()) == text) {
                return "";
              }
            }
            return "'" + text + "' is no date such as 2027-01-31, nor 2027-01-31T00:00:00Z";
          },
          "DATE"};
}

CLI::Option* AddBox(CLI::App& app, const std::string& name, std::optional<EditBox>& box,
                    const std::string& meaning) {
  const auto set = [&box, name](const std::string& text) {
    box = ParseBox(text);
    if (box) return;
    throw CLI::ValidationError(name,
                               "'" + text + "' is not x0,y0,x1,y1, four whole numbers of pixels");
  };
  return app.add_option_function<std::string>(name, set, meaning)->type_name("x0,y0,x1,y1");
}

}  // namespace hmar
