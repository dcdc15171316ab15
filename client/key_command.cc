// `hmar key new`: needs no server, and none ever sees the key before somebody shows it.

#include <cstdio>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/api_key.h"
#include "client/commands.h"

namespace hmar {
namespace {

template <typename Value>
std::string Line(const char* field, const std::optional<Value>& value) {
  return value.has_value() ? absl::StrCat(field, " = ", *value, "\n") : "";
}

// Names have no character that TOML would have escaped: the flags' checks see to it.
std::string KeyTable(const KeyNewCommand& command, const std::string& hash) {
  std::string table =
      absl::StrCat("[[key]]\nname = \"", command.name, "\"\nsha256 = \"", hash, "\"\n");
  if (!command.models.empty()) {
    absl::StrAppend(&table, "models = [\"", absl::StrJoin(command.models, "\", \""), "\"]\n");
  }
  absl::StrAppend(&table, Line("images_per_minute", command.images_per_minute),
                  Line("max_queued_images", command.max_queued_images),
                  Line("max_priority", command.max_priority), Line("weight", command.weight));
  if (!command.expires.empty()) absl::StrAppend(&table, "expires = ", command.expires, "\n");
  return table;
}

}  // namespace

// The table goes to standard output, so that `>> keys.toml` takes it and leaves the key out.
ExitCode RunKeyNew(const KeyNewCommand& command) {
  const absl::StatusOr<std::string> key = NewApiKey();
  if (!key.ok()) {
    PrintError(key.status());
    return kExitCallFailed;
  }
  std::fprintf(stderr, "The key, which is shown this once and kept nowhere. Hand it to %s:\n%s\n",
               command.name.c_str(), key->c_str());
  std::fputs(KeyTable(command, ApiKeyHash(*key)).c_str(), stdout);
  return kExitOk;
}

}  // namespace hmar
