#include "server/options.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <fstream>
#include <utility>
#include <variant>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"
#include "absl/types/span.h"
#include "model/status_macros.h"
#include "server/option_checks.h"
#include "server/option_table.h"

namespace hmar {
namespace {

// "access-log,!--no-access-log" is called access-log.
std::string ShortName(const OptionRow& row) {
  const std::string name = row.name;
  return name.substr(0, name.find(','));
}

std::string ValueText(const OptionRow::Target& target) {
  if (auto* const* text = std::get_if<std::string*>(&target)) return **text;
  if (auto* const* list = std::get_if<std::vector<std::string>*>(&target)) {
    return absl::StrJoin(**list, ",");
  }
  if (auto* const* number = std::get_if<uint32_t*>(&target)) return absl::StrCat(**number);
  return *std::get<bool*>(target) ? "on" : "off";
}

void AddFlag(const OptionRow& row, CLI::App* app) {
  const std::string flag = absl::StrCat("--", row.name);
  if (auto* const* value = std::get_if<bool*>(&row.target)) {
    app->add_flag(flag, **value, row.help);
    return;
  }
  CLI::Option* option = std::visit(
      [&](auto* target) -> CLI::Option* {
        if constexpr (std::is_same_v<decltype(target), bool*>) {
          return nullptr;
        } else {
          return app->add_option(flag, *target, row.help);
        }
      },
      row.target);
  option->option_text(absl::StrCat(row.value, ValueText(row.target).empty() ? "" : " [",
                                   ValueText(row.target),
                                   ValueText(row.target).empty() ? "" : "]"));
  if (std::holds_alternative<uint32_t*>(row.target)) {
    option->check(CLI::Range(static_cast<uint32_t>(row.min), static_cast<uint32_t>(row.max)));
  }
  if (row.check != nullptr) option->check(CLI::Validator(row.check, "", ""));
  if (std::holds_alternative<std::vector<std::string>*>(row.target)) {
    option->expected(1)->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  }
}

bool IsNameChar(char c) { return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '-'; }

// Whether the text speaks of an option: its name as a word, with dashes or without.
bool Names(const std::string& text, const std::string& option) {
  for (size_t at = text.find(option); at != std::string::npos; at = text.find(option, at + 1)) {
    const size_t end = at + option.size();
    const bool starts =
        at == 0 || !IsNameChar(text[at - 1]) || (at >= 2 && text.compare(at - 2, 2, "--") == 0);
    if (starts && (end == text.size() || !IsNameChar(text[end]))) return true;
  }
  return false;
}

// "FILE:LINE: " where the error is about an option that the configuration file sets, else "": CLI11
// names options only.
std::string PlaceOf(const std::string& error, const std::string& path,
                    absl::Span<const char* const> arguments) {
  std::ifstream file(path);
  int number = 0;
  for (std::string line; std::getline(file, line);) {
    ++number;
    const std::string key(absl::StripAsciiWhitespace(line.substr(0, line.find('='))));
    if (key.empty() || key[0] == '#' || !Names(error, key)) continue;
    const std::string flag = "--" + key;
    const bool flag_wins = std::any_of(arguments.begin(), arguments.end(), [&](const char* text) {
      return text == flag || absl::StartsWith(text, flag + "=");
    });
    if (!flag_wins) return absl::StrCat(path, ":", number, ": ");
  }
  return "";
}

// "--name=" as "--name" and "": CLI11 would take the next argument for the value.
std::vector<std::string> WithEmptyValues(absl::Span<const char* const> arguments) {
  std::vector<std::string> given;
  for (const char* const argument : arguments) {
    given.emplace_back(argument);
    const bool empty_value =
        absl::StartsWith(given.back(), "--") && given.back().find('=') == given.back().size() - 1;
    if (!empty_value) continue;
    given.back().pop_back();
    given.emplace_back();
  }
  return given;
}

}  // namespace

std::string SettingOf(const std::vector<std::string>& settings, const std::string& model,
                      const std::string& otherwise) {
  std::string found = otherwise;
  for (const std::string& setting : settings) {
    const size_t equals = setting.find('=');
    if (equals == std::string::npos) found = setting;
    if (equals != std::string::npos && setting.substr(0, equals) == model) {
      return setting.substr(equals + 1);
    }
  }
  return found;
}

absl::StatusOr<ModelSpec> ParseModelSpec(const std::string& text) {
  const size_t equals = text.find('=');
  ModelSpec spec;
  if (equals != std::string::npos) {
    spec.name = text.substr(0, equals);
    spec.path = text.substr(equals + 1);
  }
  const auto allowed = [](char c) {
    return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '.' || c == '_' || c == '-';
  };
  if (spec.name.empty() || spec.path.empty() ||
      !std::all_of(spec.name.begin(), spec.name.end(), allowed)) {
    return absl::InvalidArgumentError(
        absl::StrCat("'", text, "' is not NAME=PATH with a name of A-Z a-z 0-9 . _ -"));
  }
  return spec;
}

absl::StatusOr<CommandLine> ParseCommandLine(int argc, const char* const* argv,
                                             const std::string& version) {
  CommandLine result;
  CLI::App app("Serves HMAR image generation models over gRPC (hmar.v1.ImageGenerationService).",
               "hmar-server");
  for (const OptionRow& row : OptionTable(&result.options)) AddFlag(row, &app);
  app.set_config("--config", "", "TOML file of options, by their names without dashes");
  const auto config = [&app] {
    const CLI::Option* option = app.get_config_ptr();
    return option->count() == 0 ? "" : option->results().back();
  };
  app.allow_config_extras(CLI::config_extras_mode::error);
  app.set_version_flag("--version", "hmar-server " + version);
  bool markdown = false;
  app.add_flag("--help-markdown", markdown, "Print the table of options as Markdown")
      ->configurable(false);
  try {
    std::vector<std::string> arguments = WithEmptyValues(absl::MakeConstSpan(argv, argc));
    arguments.erase(arguments.begin());
    std::reverse(arguments.begin(), arguments.end());  // CLI11 takes them from the back.
    app.parse(std::move(arguments));
  } catch (const CLI::CallForHelp&) {
    result.print = app.help();
  } catch (const CLI::CallForVersion& version) {
    result.print = std::string(version.what()) + "\n";
  } catch (const CLI::Error& error) {
    return absl::InvalidArgumentError(
        PlaceOf(error.what(), config(), absl::MakeConstSpan(argv, argc)) + error.what());
  }
  result.config = config();
  if (markdown) result.print = OptionsMarkdown();
  HMAR_RETURN_IF_ERROR(CheckOptions(result.options));
  return result;
}

std::string DescribeOptions(const ServerOptions& options) {
  ServerOptions copy = options;
  return absl::StrJoin(OptionTable(&copy), " ", [](std::string* out, const OptionRow& row) {
    absl::StrAppend(out, ShortName(row), "=", ValueText(row.target));
  });
}

std::string OptionsMarkdown() {
  ServerOptions defaults;
  std::string table = "| Option | Default | Meaning |\n|---|---|---|\n";
  for (const OptionRow& row : OptionTable(&defaults)) {
    const std::string value = absl::StrReplaceAll(row.value, {{"|", "\\|"}});
    const std::string default_value = ValueText(row.target);
    const char* quote = default_value.empty() ? "" : "`";
    absl::StrAppend(&table, "| `--", ShortName(row), value.empty() ? "" : " ", value, "` | ", quote,
                    default_value, quote, " | ", row.help, " |\n");
  }
  absl::StrAppend(&table,
                  "| `--config FILE` | | TOML file of these options, by their names without "
                  "dashes; flags win |\n");
  return table;
}

}  // namespace hmar
