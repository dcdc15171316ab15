#include "client/load/load_options.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <set>
#include <sstream>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "client/files.h"
#include "client/flag_values.h"
#include "client/load/mix_fields.h"
#include "client/printable.h"
#include "client/tls_flags.h"
#include "model/status_macros.h"

namespace hmar::load {
namespace {

constexpr char kFooter[] =
    "One of --rate, --sweep and --concurrency, and one of --duration and --requests.\n"
    "Exit codes: 0 fine; 1 bad command line or mix file; 2 something is not as it must be: other\n"
    "bytes (--verify), an answer that belongs to no request, fewer calls or images counted by the\n"
    "server than were seen (--metrics); 3 no server, or not one call succeeded; 4 a report could "
    "not\n"
    "be written; 130 interrupted: what was open was cancelled, what was seen is reported.";

constexpr char kLoopGroup[] = "When calls are sent";

constexpr double kMostRate = 100'000;
constexpr double kMostSeconds = 86'400;
constexpr size_t kMostRates = 64;

// What flags set before they are looked at together.
struct RawOptions {
  LoadOptions options;
  double rate = 0;
  std::vector<double> sweep;
  std::string arrivals = "poisson";
  double duration = 0;
  uint64_t requests = 0;
  double warm_up = 0;
  double timeout = 120;
  std::string mix;
  std::string metrics;
  Kind kind;
};

CLI::Validator Rate() {
  return CLI::Validator(
      [](const std::string& text) -> std::string {
        double rate = 0;
        const bool fits = CLI::detail::lexical_cast(text, rate) && rate > 0 && rate <= kMostRate;
        return fits ? ""
                    : absl::StrCat("'", text, "' is not in (0, ", kMostRate, "] calls a second");
      },
      "CALLS/S");
}

CLI::Validator AtMostSeconds() {
  return Seconds() & CLI::Validator(
                         [](const std::string& text) -> std::string {
                           double seconds = 0;
                           CLI::detail::lexical_cast(text, seconds);
                           return seconds <= kMostSeconds
                                      ? ""
                                      : absl::StrCat("'", text, "' is more than ", kMostSeconds);
                         },
                         "");
}

void AddLoopOptions(CLI::App& app, RawOptions& raw) {
  LoadShape& shape = raw.options.shape;
  CLI::Option* rate = app.add_option("--rate", raw.rate,
                                     "Open loop: so many calls are due a second, whatever the\n"
                                     "earlier ones do; latency counts from when a call was due")
                          ->check(Rate());
  CLI::Option* sweep =
      app.add_option("--sweep", raw.sweep, "Open loops of these rates, one after the other: 1,2,5")
          ->delimiter(',')
          ->check(Rate());
  CLI::Option* concurrency =
      app.add_option("--concurrency", shape.concurrency,
                     "Closed loop: so many calls are open; one ends, the next is sent")
          ->check(CLI::Range(1U, 16384U));
  rate->excludes(sweep, concurrency);
  sweep->excludes(concurrency);
  CLI::Option* arrivals = app.add_option("--arrivals", raw.arrivals,
                                         "Gaps of an open loop: poisson (by --seed) or constant")
                              ->check(CLI::IsMember({"poisson", "constant"}))
                              ->capture_default_str();
  for (CLI::Option* option : {rate, sweep, concurrency, arrivals}) option->group(kLoopGroup);
}

void AddLimitOptions(CLI::App& app, RawOptions& raw) {
  CLI::Option* duration =
      app.add_option("--duration", raw.duration, "Send for so long")->check(AtMostSeconds());
  CLI::Option* requests = app.add_option("--requests", raw.requests, "Send so many calls")
                              ->check(CLI::Range(uint64_t{1}, uint64_t{1'000'000'000}))
                              ->excludes(duration);
  CLI::Option* warm_up =
      app.add_option("--warm-up", raw.warm_up, "Before that, load for so long without counting")
          ->check(AtMostSeconds());
  CLI::Option* outstanding =
      app.add_option("--max-outstanding", raw.options.shape.max_outstanding,
                     "Open loop: what is due while so many calls are open is not sent, and counted")
          ->check(CLI::Range(1U, 65536U))
          ->capture_default_str();
  CLI::Option* timeout = app.add_option("--timeout", raw.timeout,
                                        "Give a call up so long after it was due; the server is\n"
                                        "not told (a kind's deadline is what it is told)")
                             ->check(AtMostSeconds())
                             ->capture_default_str();
  for (CLI::Option* option : {duration, requests, warm_up, outstanding, timeout}) {
    option->group(kLoopGroup);
  }
}

void AddKindOptions(CLI::App& app, RawOptions& raw) {
  const std::string group = "What a call is (the same are keys of a mix file's [[mix]] tables)";
  CLI::Option* mix =
      app.add_option("--mix", raw.mix, "TOML file of several kinds, drawn by their weights")
          ->group(group);
  for (const KindField& field : KindFields()) {
    // One kind has all of the calls, and the load's key.
    if (field.name == "weight" || field.name == "api_key_file") continue;
    const std::string flag = absl::StrCat("--", absl::StrReplaceAll(field.name, {{"_", "-"}}));
    const auto set = [&raw, &field, flag](const std::string& value) {
      const absl::Status status = SetField(field, value, raw.kind);
      if (!status.ok()) throw CLI::ValidationError(flag, std::string(status.message()));
    };
    CLI::Option* option = app.add_option_function<std::string>(flag, set, field.meaning);
    option->excludes(mix)->group(group);
    if (const auto* choice = std::get_if<ChoiceField>(&field.type)) {
      option->type_name(absl::StrJoin(choice->choices, "|"));
    } else {
      option->type_name(IsNumeric(field) ? "N" : "NAME");
    }
  }
}

void AddOtherOptions(CLI::App& app, RawOptions& raw) {
  LoadOptions& options = raw.options;
  app.add_option("--server,--target", options.server, "HOST:PORT")
      ->envname("HMAR_SERVER")
      ->capture_default_str();
  AddTlsOptions(app, options.tls);
  AddApiKeyOptions(app, options.api_key);
  app.add_option("--connections", options.connections,
                 "Connections of each principal; 0: one for every 64 calls that may be open")
      ->check(CLI::Range(0U, kMaxConnections))
      ->capture_default_str();
  app.add_option("--seed", options.shape.seed,
                 "Of the arrivals and of the choice of kinds; requests' seeds rise from it")
      ->check(Unsigned<uint64_t>())
      ->capture_default_str();
  CLI::Option* distinct = app.add_option("--distinct-seeds", options.shape.distinct_seeds,
                                         "Start again after so many seeds of a kind; 0: never")
                              ->check(Unsigned<uint64_t>())
                              ->capture_default_str();
  app.add_flag("--verify", options.verify,
               "Equal kind and seed must give equal bytes, unless the image is degraded")
      ->needs(distinct);
  app.add_option("--slo-ms", options.shape.slo_ms, "Report what was answered within so long")
      ->check(CLI::Range(0.001, kMostSeconds * 1000));
  app.add_option(
      "--metrics", raw.metrics,
      "HOST:PORT or URL of the server's Prometheus metrics: must agree with what is seen");
  app.add_option("--json", options.json, "File for everything, as JSON");
  app.add_option("--html", options.html, "File for a page with the curves");
  app.add_flag("--quiet", options.quiet, "No progress lines on standard error");
}

// Flags that are right one by one. INVALID_ARGUMENT: not together.
absl::Status SetLoop(RawOptions& raw) {
  LoadOptions& options = raw.options;
  options.rates = raw.sweep;
  if (raw.rate > 0) options.rates = {raw.rate};
  if (options.rates.size() > kMostRates) {
    return absl::InvalidArgumentError(
        absl::StrCat("--sweep: ", options.rates.size(), " rates, at most ", kMostRates));
  }
  if (options.rates.empty() && options.shape.concurrency == 0) {
    return absl::InvalidArgumentError("one of --rate, --sweep and --concurrency is required");
  }
  if ((raw.duration > 0) == (raw.requests > 0)) {
    return absl::InvalidArgumentError("one of --duration and --requests is required");
  }
  LoadShape& shape = options.shape;
  shape.arrivals = raw.arrivals == "constant" ? Arrivals::kConstant : Arrivals::kPoisson;
  if (raw.duration > 0) shape.duration = absl::Seconds(raw.duration);
  if (raw.requests > 0) shape.requests = raw.requests;
  shape.warm_up = absl::Seconds(raw.warm_up);
  shape.timeout = absl::Seconds(raw.timeout);
  return absl::OkStatus();
}

absl::Status SetKinds(RawOptions& raw) {
  if (raw.mix.empty()) {
    if (const absl::Status fits = CheckKind(raw.kind); !fits.ok()) {
      return absl::InvalidArgumentError(absl::StrCat("--", std::string(fits.message())));
    }
    raw.options.kinds = {raw.kind};
    NameKinds(raw.options.kinds);
    return absl::OkStatus();
  }
  absl::StatusOr<std::string> text = ReadFile(raw.mix, kMaxMixBytes);
  absl::Status read = text.status();
  if (text.ok()) {
    absl::StatusOr<std::vector<Kind>> kinds = ParseMix(*text, raw.mix);
    if (kinds.ok()) {
      raw.options.kinds = *std::move(kinds);
      return absl::OkStatus();
    }
    read = kinds.status();
  }
  return absl::InvalidArgumentError(absl::StrCat("--mix: ", std::string(read.message())));
}

absl::Status SetConnections(LoadOptions& options) {
  std::set<std::string> principals;
  for (const Kind& kind : options.kinds) principals.insert(kind.principal);
  const auto most = static_cast<uint32_t>(kMaxConnections / principals.size());
  const uint32_t calls =
      options.rates.empty() ? options.shape.concurrency : options.shape.max_outstanding;
  if (options.connections == 0) {
    options.connections = std::min((calls + kCallsPerConnection - 1) / kCallsPerConnection, most);
  }
  if (options.connections <= most) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("--connections: was ", options.connections,
                                                 ", must be at most ", most, " where there are ",
                                                 principals.size(), " principals"));
}

absl::Status CheckVerify(const LoadOptions& options) {
  if (!options.verify) return absl::OkStatus();
  double images = 0;
  for (const Kind& kind : options.kinds) images += static_cast<double>(kind.images);
  images *= static_cast<double>(options.shape.distinct_seeds);
  if (images > 0 && images <= kMaxVerifiedImages) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      "--distinct-seeds: was ", options.shape.distinct_seeds, ", must be 1 and more, ",
      "and with all kinds' images at most ", kMaxVerifiedImages, " where --verify is"));
}

absl::Status Complete(RawOptions& raw) {
  HMAR_RETURN_IF_ERROR(SetLoop(raw));
  HMAR_RETURN_IF_ERROR(SetKinds(raw));
  HMAR_RETURN_IF_ERROR(SetConnections(raw.options));
  HMAR_RETURN_IF_ERROR(CheckVerify(raw.options));
  if (raw.metrics.empty()) return absl::OkStatus();
  absl::StatusOr<MetricsAddress> address = ParseMetricsAddress(raw.metrics);
  if (!address.ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat("--metrics: ", std::string(address.status().message())));
  }
  raw.options.metrics = *std::move(address);
  return absl::OkStatus();
}

EarlyExit MakeEarlyExit(const CLI::App& app, const CLI::ParseError& error) {
  std::ostringstream out;
  std::ostringstream err;
  const int code = app.exit(error, out, err);
  return {code == 0 ? kLoadOk : kLoadUsage, out.str(), PrintableLines(err.str())};
}

}  // namespace

std::variant<LoadOptions, EarlyExit> ParseLoadOptions(int argc, const char* const* argv,
                                                      const std::string& version) {
  RawOptions raw;
  raw.options.server = "localhost:50051";
  CLI::App app("hmar-load: loads an hmar-server, and says what came of it.", "hmar-load");
  app.footer(kFooter);
  app.set_version_flag("--version", "hmar-load " + version);
  AddOtherOptions(app, raw);
  AddLoopOptions(app, raw);
  AddLimitOptions(app, raw);
  AddKindOptions(app, raw);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return MakeEarlyExit(app, error);
  }
  if (const absl::Status status = Complete(raw); !status.ok()) {
    return EarlyExit{kLoadUsage, "",
                     absl::StrCat("hmar-load: ", std::string(status.message()), "\n")};
  }
  raw.options.command = Printable(absl::StrJoin(argv + 1, argv + argc, " "));
  return raw.options;
}

}  // namespace hmar::load
