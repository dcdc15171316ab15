#ifndef HMAR_SERVER_OPTIONS_H_
#define HMAR_SERVER_OPTIONS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "server/base/version.h"

namespace hmar {

// What the server can be told. Names, ranges and help texts stand once, in option_table.cc; the
// flags, the configuration file, --help, the start-up log and the README's table are made of it.
struct ServerOptions {
  std::vector<std::string>
      models;  // NAME=PATH; the first is the default. Empty: the bundled model.
  // [NAME=]VALUE, each: what SettingOf reads.
  std::vector<std::string> architectures;
  std::vector<std::string> precisions = {"auto"};  // See devices.h.
  std::string device = "cpu";                      // See devices.h.
  uint32_t threads = 0;

  std::string listen = "127.0.0.1:50051";
  std::string http;  // Empty: off.
  uint32_t http_threads = 256;
  uint32_t http_buffer_bytes = uint32_t{256} << 20;
  std::string http_allow_origin;
  std::string tls_cert, tls_key, tls_client_ca;  // See transport/tls.h.
  std::string keys;                              // See keys/key_file.h.
  std::string port_file;
  std::string metrics;
  std::string metrics_basic_auth;  // See operations/basic_auth.h.
  std::string reflection = "on";   // "on", "off".

  uint32_t max_images_in_flight = 0;  // 0: see LimitsOf in devices.h.
  uint32_t max_queued_images = 2048;
  uint32_t max_queued_images_per_client = 1024;
  uint32_t max_images_per_request = 64;
  uint32_t reserved_slots = 4;
  uint32_t aging_seconds = 60;
  bool trust_forwarded_for = false;
  uint32_t max_step_rows = 0;  // 0: see LimitsOf in devices.h.

  uint32_t encoder_threads = 0;  // 0: see EncoderThreads in devices.h.
  uint32_t encoder_buffer_bytes = uint32_t{256} << 20;
  uint32_t png_compression = 1;
  uint32_t max_message_bytes = uint32_t{40} << 20;  // Room for an image and a mask.
  uint32_t stream_buffer_bytes = uint32_t{64} << 20;
  uint32_t delivery_buffer_bytes = uint32_t{256} << 20;
  uint32_t send_seconds = 20;
  uint32_t max_open_calls = 8192;
  uint32_t max_open_calls_per_client = 4096;
  uint32_t max_concurrent_streams = 100;

  uint32_t max_connections = 4096;
  uint32_t max_connections_per_peer = 1024;
  uint32_t transport_memory_bytes = uint32_t{256} << 20;
  uint32_t receive_seconds = 30;
  uint32_t keepalive_seconds = 20;
  uint32_t keepalive_timeout_seconds = 10;
  uint32_t min_ping_seconds = 10;
  uint32_t max_ping_strikes = 2;
  uint32_t max_connection_age_seconds = 0;  // 0: any age.
  uint32_t max_connection_age_grace_seconds = 300;

  uint32_t max_upload_bytes = uint32_t{16} << 20;
  uint32_t max_upload_pixels = 64'000'000;
  uint32_t upload_threads = 0;  // 0: see UploadReadersOptions.
  uint32_t upload_buffer_bytes = uint32_t{256} << 20;
  uint32_t upload_decode_bytes = uint32_t{256} << 20;
  uint32_t upload_cache_bytes = uint32_t{32} << 20;

  uint32_t load_seconds = 600;  // 0: no limit.
  uint32_t probe_seconds = 120;
  uint32_t hang_seconds = 30;  // 0: no limit.
  uint32_t drain_delay_seconds = 5;
  uint32_t drain_seconds = 30;
  std::string log_level = "info";
  bool access_log = true;
};

// A model to load.
struct ModelSpec {
  std::string name;
  std::string path;
  std::string architecture;        // Of a folder without a config.json; else empty.
  std::string precision = "auto";  // See devices.h.
};

// The name of the model that is served without any --model.
inline constexpr char kBundledModelName[] = "hmar-cifar10";

// What --architecture or --precision, given as [NAME=]VALUE once or more, sets for a model: the
// value with its name, or else the one without a name, or else `otherwise`.
std::string SettingOf(const std::vector<std::string>& settings, const std::string& model,
                      const std::string& otherwise);

// Splits NAME=PATH; the rest of the spec is left as it is by default. INVALID_ARGUMENT: no name, no
// path, or a character in the name other than A-Z a-z 0-9 . _ -
absl::StatusOr<ModelSpec> ParseModelSpec(const std::string& text);

// What a command line asks for.
struct CommandLine {
  ServerOptions options;
  std::string config;                // The configuration file; "": none.
  std::optional<std::string> print;  // --help, --version, --help-markdown: print this and exit.
};

// Reads flags and, with --config, a TOML file of the same names (flags win), and checks them
// against each other (option_checks.h). INVALID_ARGUMENT names the flag, the value and the limit,
// and the line of the file where it stands in one. `version` is what --version tells. Thread-safe.
absl::StatusOr<CommandLine> ParseCommandLine(int argc, const char* const* argv,
                                             const std::string& version = ServerVersion());

// All options and their values in one line, for the start-up log.
std::string DescribeOptions(const ServerOptions& options);

// The README's table of all flags.
std::string OptionsMarkdown();

}  // namespace hmar

#endif  // HMAR_SERVER_OPTIONS_H_
