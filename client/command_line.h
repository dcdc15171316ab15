#ifndef HMAR_CLIENT_COMMAND_LINE_H_
#define HMAR_CLIENT_COMMAND_LINE_H_

// The flags of `hmar`, declared once.

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "client/api_key.h"
#include "client/edit_options.h"
#include "client/key_options.h"
#include "client/tls_options.h"
#include "client/watch/watch_options.h"

namespace hmar {

// The folder for pictures where --out does not say another.
inline constexpr char kDefaultOut[] = "pictures";

// What every command that makes images takes. An option that was not given is absent (or empty) and
// leaves the choice to the server.
struct RequestFlags {
  std::string model;
  std::string target;  // --class: a name, an alias or a number.
  std::optional<uint64_t> seed;
  uint32_t count = 1;
  std::string previews = "none";  // "none", "fast", "full".
  std::vector<uint32_t> preview_scales;
  std::optional<float> cfg_scale;
  std::optional<uint32_t> top_k;
  std::optional<float> top_p;
  std::optional<float> temperature;
  std::string schedule = "model";  // "model", "none", "quality" or JSON.
  uint32_t max_scales = 0;         // 0: all.
  std::string format = "png";      // "png", "jpeg", "webp", "rgb".
  std::optional<uint32_t> quality;
  bool lossless = false;
  std::optional<uint32_t> png_compression;
  std::string save_tokens;  // A file to write.
  std::string from_tokens;  // A file to read.
  uint32_t from_image = 0;  // Which image of it.
  uint32_t scales = 0;      // How many of its scales; 0: all.
  bool receipt = false;
  std::optional<double> deadline_seconds;
  std::string on_deadline = "fail";  // "fail", "refuse", "degrade".
  int32_t priority = 0;
  uint32_t retries = 3;  // Tries after the first.
  std::string request_id;
  bool validate_only = false;
  bool quiet = false;
  std::string show = "auto";    // "auto", "never", "kitty", "iterm2", "sixel", "blocks".
  bool write_previews = false;  // To files of their own: --previews was given.
};

// `hmar generate`.
struct GenerateCommand : RequestFlags {
  std::string out = kDefaultOut;  // A folder; made if missing.
};

// `hmar edit`. Of box, mask and keep_box at most one is given; none only if resize is "contain".
struct EditCommand : RequestFlags {
  std::string image;  // A file to read.
  std::optional<EditBox> box;
  std::string mask;  // A file to read.
  std::optional<EditBox> keep_box;
  std::string resize = "none";  // "none", "cover", "contain".
  uint32_t feather = 0;         // Pixels.
  bool composite = true;
  std::string out;    // A file to write, its end that of its format; its folder is made if missing.
                      // Empty: edit-SEED in kDefaultOut.
  std::string sheet;  // A .png to write, likewise; empty: none.
};

// `hmar models`.
struct ModelsCommand {
  std::string model;     // Empty: all.
  bool json = false;     // At most one of both.
  bool classes = false;  // What the classes are called.
};

// `hmar health`.
struct HealthCommand {
  std::string service;
  double wait_seconds = 0;  // 0: one look.
};

// `hmar sheet`.
struct SheetCommand {
  std::string out;
  uint32_t columns = 0;  // 0: all pictures in one row.
  std::vector<std::string> pictures;
};

struct CommandLine {
  std::string server;  // HOST:PORT
  TlsOptions tls;
  ApiKeyOptions api_key;
  std::variant<GenerateCommand, EditCommand, ModelsCommand, HealthCommand, SheetCommand,
               KeyNewCommand, WatchCommand>
      command;
};

// Nothing to run: --help, or a mistake.
struct EarlyExit {
  int exit_code = 0;
  std::string out;    // For standard output.
  std::string error;  // For standard error.
};

// `version` is what --version tells.
std::variant<CommandLine, EarlyExit> ParseCommandLine(int argc, const char* const* argv,
                                                      const std::string& version = "");

}  // namespace hmar

#endif  // HMAR_CLIENT_COMMAND_LINE_H_
