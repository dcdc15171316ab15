#ifndef HMAR_CLIENT_LOAD_LOAD_OPTIONS_H_
#define HMAR_CLIENT_LOAD_LOAD_OPTIONS_H_

// The flags of `hmar-load`, declared once (those of a kind of call: mix_fields.h).

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "client/api_key.h"
#include "client/command_line.h"
#include "client/load/load_run.h"
#include "client/load/mix.h"
#include "client/metrics_scrape.h"
#include "client/tls_options.h"

namespace hmar::load {

// What `hmar-load` returns to the shell. `hmar-load --help` and the README list them.
enum LoadExitCode : int {
  kLoadOk = 0,
  kLoadUsage = 1,         // A bad command line or mix file. Nothing was sent.
  kLoadInconsistent = 2,  // --verify, an answer, or --metrics: something is not as it must be.
  kLoadNothing = 3,       // No server, or not one call succeeded.
  kLoadOutput = 4,        // A report could not be written.
  kLoadInterrupted = 130,
};

struct LoadOptions {
  std::string server;  // HOST:PORT
  TlsOptions tls;
  ApiKeyOptions api_key;
  std::vector<double> rates;  // Open loops, one after the other; empty: a closed loop.
  LoadShape shape;            // But for the rate.
  std::vector<Kind> kinds;    // Named, at least one.
  uint32_t connections = 0;   // Of each principal; at least 1.
  bool verify = false;
  std::optional<MetricsAddress> metrics;
  std::string json;  // Files to write; empty: none.
  std::string html;
  bool quiet = false;
  std::string command;  // The command line, printable.
};

// Images whose bytes --verify may have to remember.
inline constexpr uint64_t kMaxVerifiedImages = 1'000'000;
inline constexpr uint32_t kMaxConnections = 1024;  // Of all principals.

// Reads the mix file as well. EarlyExit: --help, or a mistake, with the flag or field, the value
// and the limit. `version` is what --version tells.
std::variant<LoadOptions, EarlyExit> ParseLoadOptions(int argc, const char* const* argv,
                                                      const std::string& version = "");

}  // namespace hmar::load

#endif  // HMAR_CLIENT_LOAD_LOAD_OPTIONS_H_
