#ifndef HMAR_CLIENT_KEY_OPTIONS_H_
#define HMAR_CLIENT_KEY_OPTIONS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace CLI {
class App;
}  // namespace CLI

namespace hmar {

// `hmar key new`. What is absent is left out of the keys file: not limited.
struct KeyNewCommand {
  std::string name;
  std::vector<std::string> models;
  std::optional<uint32_t> images_per_minute;
  std::optional<uint32_t> max_queued_images;
  std::optional<int32_t> max_priority;
  std::optional<double> weight;
  std::string expires;  // A date, or a date and a time; empty: never.
};

// Adds the command; it was given if what is returned has been parsed.
CLI::App* AddKeyNew(CLI::App& app, KeyNewCommand& command);

}  // namespace hmar

#endif  // HMAR_CLIENT_KEY_OPTIONS_H_
