#include "client/key_options.h"

#include <CLI/CLI.hpp>

#include "client/flag_values.h"

namespace hmar {

CLI::App* AddKeyNew(CLI::App& app, KeyNewCommand& command) {
  CLI::App* key = app.add_subcommand("key", "Make keys for a server's --keys file");
  key->require_subcommand(1);
  CLI::App* made =
      key->add_subcommand("new", "Print a new key, and the lines that let it in; needs no server");
  made->add_option("--name", command.name, "Whose: for logs, metrics and fair shares")
      ->required()
      ->check(KeyName());
  made->add_option("--models", command.models, "Models it may use; default: all")
      ->delimiter(',')
      ->check(KeyName());
  made->add_option("--images-per-minute", command.images_per_minute)
      ->check(CLI::Range(uint32_t{1}, uint32_t{1'000'000'000}));
  made->add_option("--max-queued-images", command.max_queued_images,
                   "Images that may wait; default: the server's --max-queued-images-per-client")
      ->check(CLI::Range(uint32_t{1}, uint32_t{1'000'000}));
  made->add_option("--max-priority", command.max_priority)->check(CLI::Range(-10, 10));
  made->add_option("--weight", command.weight, "Its share of the devices beside others'")
      ->check(CLI::Range(0.01, 100.0));
  made->add_option("--expires", command.expires, "A date (its end, UTC) or 2027-01-31T00:00:00Z")
      ->check(DateOrTime());
  return made;
}

}  // namespace hmar
