#ifndef HMAR_SERVER_OPTION_TABLE_H_
#define HMAR_SERVER_OPTION_TABLE_H_

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "server/options.h"

namespace hmar {

// One option: the flag, the configuration file's name, the start-up log's and the README's.
struct OptionRow {
  using Target = std::variant<std::string*, std::vector<std::string>*, uint32_t*, bool*>;
  // What is wrong with a value; "" if nothing is. The form that CLI11 wants.
  using Check = std::string (*)(const std::string& value);

  const char* name;   // Without the dashes.
  const char* value;  // What to give, for the help; a bool has none.
  Target target;
  const char* help;
  double min = 0;  // Of numbers.
  double max = 0;
  Check check = nullptr;  // Of strings.
};

// The table of options, its targets the fields of `options`: the only place that knows their names,
// ranges and help texts.
std::vector<OptionRow> OptionTable(ServerOptions* options);

}  // namespace hmar

#endif  // HMAR_SERVER_OPTION_TABLE_H_
