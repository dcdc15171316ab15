#include "server/options.h"

#include <CLI/CLI.hpp>
#include <limits>
#include <utility>
#include <variant>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "model/status_macros.h"
#include "server/base/version.h"
#include "server/devices.h"
#include "server/option_checks.h"

namespace hmar {
namespace {

constexpr double kMaxUint32 = std::numeric_limits<uint32_t>::max();

using Target = std::variant<std::string*, std::vector<std::string>*, uint32_t*, bool*>;
// What is wrong with a value; "" if nothing is. The form that CLI11 wants.
using Check = std::string (*)(const std::string& value);

// One option.
struct OptionRow {
  const char* name;   // Without the dashes.
  const char* value;  // What to give, for the help; a bool has none.
  Target target;
  const char* help;
  double min = 0;  // Of numbers.
  double max = 0;
  Check check = nullptr;  // Of strings.
};

std::string CheckModel(const std::string& text) {
  return std::string(ParseModelSpec(text).status().message());
}

std::string CheckAddress(const std::string& text) {
  const size_t colon = text.rfind(':');
  uint32_t port = 0;
  if (colon != std::string::npos && colon > 0 && absl::SimpleAtoi(text.substr(colon + 1), &port) &&
      port <= 65535) {
    return "";
  }
  return absl::StrCat("'", text, "' is not HOST:PORT with a port of 0 to 65535");
}

std::string CheckOptionalAddress(const std::string& text) {
  return text.empty() ? "" : CheckAddress(text);
}

std::string CheckDevice(const std::string& text) {
  return std::string(ParseDevices(text).status().message());
}

// The value of a [NAME=]VALUE.
std::string ValueOf(const std::string& setting) { return setting.substr(setting.find('=') + 1); }

// Which names there are is for the model's loader to know.
std::string CheckArchitecture(const std::string& text) {
  if (!ValueOf(text).empty()) return "";
  return absl::StrCat("'", text, "' is not [NAME=]ARCH");
}

std::string CheckPrecision(const std::string& text) {
  for (const char* precision : {"auto", "fp32", "bf16", "fp8"}) {
    if (ValueOf(text) == precision) return "";
  }
  return absl::StrCat("'", text, "' is none of auto, fp32, bf16, fp8");
}

std::string CheckLogLevel(const std::string& text) {
  for (const char* level : {"trace", "debug", "info", "warn", "error", "off"}) {
    if (text == level) return "";
  }
  return absl::StrCat("'", text, "' is none of trace, debug, info, warn, error, off");
}

// The table of options: the only place that knows their names.
std::vector<OptionRow> Rows(ServerOptions* o) {
  return {
      {"model", "NAME=PATH", &o->models,
       "A model folder and the name that requests use for it. Give it once a model; the first is "
       "the default. None given: the bundled hmar-cifar10",
       0, 0, CheckModel},
      {"architecture", "[NAME=]ARCH", &o->architectures,
       "Architecture of a model folder without a config.json: hmar-d16, hmar-d20, hmar-d24, "
       "hmar-d30; with NAME= of that model, without of all that have none of their own. Repeatable",
       0, 0, CheckArchitecture},
      {"device", "cpu|cuda:N[,cuda:M...]", &o->device,
       "Where the models run; with several GPUs each holds every model, and an image goes to the "
       "one "
       "that will finish it first",
       0, 0, CheckDevice},
      {"precision", "[NAME=]auto|fp32|bf16|fp8", &o->precisions,
       "What a device computes a model in: fp32 on the CPU, bf16 or fp8 on a GPU; auto: fp32, "
       "bf16. "
       "NAME= as in --architecture. Repeatable",
       0, 0, CheckPrecision},
      {"threads", "N", &o->threads, "CPU threads of one operator; 0: one a core", 0, 1024},
      {"listen", "HOST:PORT", &o->listen, "Where to serve gRPC; port 0 takes a free one", 0, 0,
       CheckAddress},
      {"port-file", "FILE", &o->port_file, "Write the gRPC port in use to this file"},
      {"metrics", "HOST:PORT", &o->metrics,
       "Where to serve Prometheus metrics, on /metrics; empty: nowhere", 0, 0,
       CheckOptionalAddress},
      {"max-images-in-flight", "N", &o->max_images_in_flight,
       "Images of one model that run at the same time on a device; 0: 64 on the CPU, all that fit "
       "on a GPU",
       0, 65536},
      {"max-queued-images", "N", &o->max_queued_images,
       "Images that may wait, over all models; more are refused with RESOURCE_EXHAUSTED", 1, 1e6},
      {"max-queued-images-per-client", "N", &o->max_queued_images_per_client,
       "Of these, one client's", 1, 1e6},
      {"max-images-per-request", "N", &o->max_images_per_request, "Limit of num_images", 1, 65536},
      {"max-step-rows", "N", &o->max_step_rows,
       "Token rows that one step of a model may have; more rows, more throughput, longer steps; 0: "
       "1024 on the CPU, 20480 on a GPU",
       0, 1 << 24},
      {"reserved-slots", "N", &o->reserved_slots,
       "Of a model's images in flight on a device, how many only a priority above 0, or a client "
       "that runs nothing there, may be; never more than a quarter of them",
       0, 65536},
      {"aging-seconds", "N", &o->aging_seconds,
       "How much longer than an image of the next higher priority one must have waited to go "
       "before "
       "it",
       1, 86400},
      {"trust-forwarded-for", "", &o->trust_forwarded_for,
       "Clients are told apart by the first address of x-forwarded-for, which a proxy must set, "
       "not "
       "by the peer's"},
      {"encoder-threads", "N", &o->encoder_threads,
       "Threads that write PNGs; 0: the cores that the engines leave (a core a GPU is its "
       "engine's, "
       "--threads are the CPU's), at most 8 a device, at least 1",
       0, 256},
      {"encoder-buffer-bytes", "N", &o->encoder_buffer_bytes,
       "Pictures that may wait for their PNG, over all calls; holding more, new requests are "
       "refused "
       "with RESOURCE_EXHAUSTED",
       1 << 20, kMaxUint32},
      {"png-compression", "0..9", &o->png_compression,
       "zlib level of PNGs for requests that do not say", 0, 9},
      {"max-message-bytes", "N", &o->max_message_bytes,
       "Largest request, and largest reply of GenerateImages", 1 << 16, 1 << 30},
      {"stream-buffer-bytes", "N", &o->stream_buffer_bytes,
       "What a stream may hold for a slow client; beyond a quarter of it previews are dropped, "
       "beyond all of it the stream ends with RESOURCE_EXHAUSTED",
       1 << 16, kMaxUint32},
      {"delivery-buffer-bytes", "N", &o->delivery_buffer_bytes,
       "What all calls together may hold for their clients; beyond it the one that holds most "
       "loses "
       "its previews, then ends with RESOURCE_EXHAUSTED",
       1 << 24, kMaxUint32},
      {"send-seconds", "N", &o->send_seconds,
       "Longest time that a client may take to read one message; then its call ends with "
       "RESOURCE_EXHAUSTED",
       1, 3600},
      {"max-concurrent-streams", "N", &o->max_concurrent_streams, "Open calls of one connection", 1,
       1 << 20},
      {"max-connections", "N", &o->max_connections,
       "Open connections; more are closed at once. Each takes two of the process's descriptors, "
       "whose limit is raised as far as it goes",
       1, 1e6},
      {"max-connections-per-peer", "N", &o->max_connections_per_peer,
       "Of these, one client address's, or one IPv6 /64's; behind a proxy all are the proxy's", 1,
       1e6},
      {"transport-memory-bytes", "N", &o->transport_memory_bytes,
       "What gRPC may hold of requests that have not arrived in full, over all connections; beyond "
       "it some are cancelled with RESOURCE_EXHAUSTED",
       1 << 24, kMaxUint32},
      {"receive-seconds", "N", &o->receive_seconds,
       "Longest time for a request to arrive in full, and for a new connection's handshake", 1,
       3600},
      {"max-upload-bytes", "N", &o->max_upload_bytes,
       "Largest image, and largest mask, of an edit; a request has room for both within "
       "--max-message-bytes",
       1024, 1 << 30},
      {"max-upload-pixels", "N", &o->max_upload_pixels,
       "Most pixels that an uploaded PNG may have; while it is read each takes 3 bytes of memory",
       1024, 1 << 30},
      {"upload-threads", "N", &o->upload_threads,
       "Threads that read uploaded PNGs, one of them small uploads alone; 0: half the cores, at "
       "least 2 and at most 16",
       0, 256},
      {"upload-buffer-bytes", "N", &o->upload_buffer_bytes,
       "What the uploads of open calls may take, from the PNGs to what is kept of them until the "
       "call ends; more are refused with RESOURCE_EXHAUSTED",
       1 << 20, kMaxUint32},
      {"upload-decode-bytes", "N", &o->upload_decode_bytes,
       "What all uploads may take together while they are read, at least 4 bytes for each of "
       "--max-upload-pixels; a quarter is for uploads of at most a sixteenth, which wait for no "
       "larger one",
       1 << 16, kMaxUint32},
      {"upload-cache-bytes", "N", &o->upload_cache_bytes,
       "What the tokens of uploaded pictures may take, so that variations and retries of an edit "
       "do not encode again; 0: none are kept",
       0, kMaxUint32},
      {"probe-seconds", "N", &o->probe_seconds,
       "Longest time for the probe image that each model makes before the server is ready", 1,
       3600},
      {"drain-seconds", "N", &o->drain_seconds,
       "Longest time to finish accepted requests after SIGTERM or SIGINT", 0, 86400},
      {"log-level", "LEVEL", &o->log_level, "trace, debug, info, warn, error or off", 0, 0,
       CheckLogLevel},
      {"access-log,!--no-access-log", "", &o->access_log,
       "A line of JSON on standard output for each request; --no-access-log turns it off"},
  };
}

// "access-log,!--no-access-log" is called access-log.
std::string ShortName(const OptionRow& row) {
  const std::string name = row.name;
  return name.substr(0, name.find(','));
}

std::string ValueText(const Target& target) {
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

}  // namespace

std::string SettingOf(const std::vector<std::string>& settings, const std::string& model,
                      const std::string& otherwise) {
  std::string found = otherwise;
  for (const std::string& setting : settings) {
    const size_t equals = setting.find('=');
    if (equals == std::string::npos) found = setting;
    if (equals != std::string::npos && setting.substr(0, equals) == model) return ValueOf(setting);
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

absl::StatusOr<CommandLine> ParseCommandLine(int argc, const char* const* argv) {
  CommandLine result;
  CLI::App app("Serves HMAR image generation models over gRPC (hmar.v1.ImageGenerationService).",
               "hmar-server");
  for (const OptionRow& row : Rows(&result.options)) AddFlag(row, &app);
  app.set_config("--config", "", "TOML file of options, by their names without dashes");
  app.allow_config_extras(CLI::config_extras_mode::error);
  app.set_version_flag("--version", std::string("hmar-server ") + ServerVersion());
  bool markdown = false;
  app.add_flag("--help-markdown", markdown, "Print the table of options as Markdown")
      ->configurable(false);
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    result.print = app.help();
  } catch (const CLI::CallForVersion& version) {
    result.print = std::string(version.what()) + "\n";
  } catch (const CLI::Error& error) {
    return absl::InvalidArgumentError(error.what());
  }
  if (markdown) result.print = OptionsMarkdown();
  HMAR_RETURN_IF_ERROR(CheckOptions(result.options));
  return result;
}

std::string DescribeOptions(const ServerOptions& options) {
  ServerOptions copy = options;
  return absl::StrJoin(Rows(&copy), " ", [](std::string* out, const OptionRow& row) {
    absl::StrAppend(out, ShortName(row), "=", ValueText(row.target));
  });
}

std::string OptionsMarkdown() {
  ServerOptions defaults;
  std::string table = "| Option | Default | Meaning |\n|---|---|---|\n";
  for (const OptionRow& row : Rows(&defaults)) {
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
