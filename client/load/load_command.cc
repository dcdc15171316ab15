#include "client/load/load_command.h"

#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "client/files.h"
#include "client/load/findings.h"
#include "client/load/image_memory.h"
#include "client/load/metrics_check.h"
#include "client/load/report.h"
#include "client/load/request_maker.h"
#include "client/printable.h"
#include "model/status_macros.h"

namespace hmar::load {
namespace {

constexpr absl::Duration kStartTimeout = absl::Seconds(10);  // To connect; to tell of a model.
constexpr uint32_t kUploadSideOfUnknown = 64;

// A server counts a call after it has told the client of its end.
constexpr absl::Duration kCountingTimeout = absl::Seconds(5);
constexpr absl::Duration kCountingPause = absl::Milliseconds(100);

void Say(const absl::Status& status) {
  absl::FPrintF(stderr, "hmar-load: %s: %s\n", absl::StatusCodeToString(status.code()),
                PrintableLines(std::string(status.message())));
}

// A model that the server does not know may be part of the load: its refusals are.
absl::StatusOr<ModelFacts> AskModel(Client& client, const std::string& name, Canceller& canceller) {
  const auto model = client.GetModel(name, {.timeout = kStartTimeout, .canceller = &canceller});
  if (absl::IsNotFound(model.status())) return ModelFacts{0, kUploadSideOfUnknown};
  if (!model.ok()) return model.status();
  if (model->image_size() == 0 || model->image_size() > kMaxUploadSide) {
    return absl::DataLossError(absl::StrCat("Model.image_size was ", model->image_size(),
                                            ", must be 1 .. ", kMaxUploadSide));
  }
  return ModelFacts{static_cast<uint32_t>(model->classes_size()), model->image_size()};
}

// How each kind reaches the server.
struct Access {
  std::shared_ptr<grpc::ChannelCredentials> credentials;
  std::vector<std::string> keys;  // One a kind; "": none.
};

absl::StatusOr<Access> MakeAccess(const LoadOptions& options) {
  Access access;
  HMAR_ASSIGN_OR_RETURN(access.credentials, MakeCredentials(options.tls));
  HMAR_ASSIGN_OR_RETURN(const std::string key, ReadApiKey(options.api_key));
  for (const Kind& kind : options.kinds) {
    access.keys.push_back(key);
    if (kind.api_key_file.empty()) continue;
    HMAR_ASSIGN_OR_RETURN(access.keys.back(), ReadApiKey({.key = "", .file = kind.api_key_file}));
  }
  return access;
}

// A key sees its own models: each is asked for by who will call it.
absl::StatusOr<std::vector<RequestMaker>> MakeMakers(const LoadOptions& options,
                                                     const Access& access, Canceller& canceller) {
  std::map<std::pair<std::string, std::string>, ModelFacts> models;  // By key and name.
  std::vector<RequestMaker> makers;
  for (size_t i = 0; i < options.kinds.size(); ++i) {
    const Kind& kind = options.kinds[i];
    const auto [facts, is_new] = models.try_emplace({access.keys[i], kind.model});
    if (is_new) {
      Client client(options.server, access.credentials, access.keys[i]);
      HMAR_ASSIGN_OR_RETURN(facts->second, AskModel(client, kind.model, canceller));
    }
    HMAR_ASSIGN_OR_RETURN(RequestMaker maker, RequestMaker::Make(kind, facts->second));
    makers.push_back(std::move(maker));
  }
  return makers;
}

// Asks again until the server has counted all that was seen, for a while.
absl::StatusOr<std::vector<MetricsRow>> CompareAfter(const MetricsAddress& address,
                                                     const std::vector<MetricSample>& before,
                                                     const Seen& seen) {
  const Stopwatch clock;
  while (true) {
    HMAR_ASSIGN_OR_RETURN(const auto after, Scrape(address));
    std::vector<MetricsRow> rows = CompareMetrics(before, after, seen);
    if (CountedTooFew(rows).empty() || clock.Elapsed() > kCountingTimeout) return rows;
    absl::SleepFor(kCountingPause);
  }
}

void RunLoads(const LoadOptions& options, const LoadParts& parts, Seen& seen, Report& report) {
  std::vector<LoadShape> shapes;
  for (const double rate : options.rates) {
    shapes.push_back(options.shape);
    shapes.back().rate = rate;
  }
  if (shapes.empty()) shapes.push_back(options.shape);
  for (const LoadShape& shape : shapes) {
    if (parts.stop.stopped()) return;
    report.runs.push_back(LoadRun(shape, parts).Execute(seen));
    const RunReport& run = report.runs.back();
    if (options.quiet) continue;
    absl::FPrintF(stderr, "%s: %d sent, %d ok, %.2f images/s\n", RunName(run), run.all.sent,
                  run.all.ok, run.all.images_per_second);
  }
}

int WriteReport(const LoadOptions& options, const Report& report) {
  absl::PrintF("%s", ReportTable(report));
  int exit_code = report.exit_code;
  const auto write = [&](const std::string& path, const std::string& text) {
    if (path.empty()) return;
    const absl::Status written = WriteFile(path, text);
    if (written.ok()) return;
    Say(written);
    if (exit_code == kLoadOk) exit_code = kLoadOutput;
  };
  write(options.json, ReportJson(report));
  write(options.html, ReportHtml(report));
  return exit_code;
}

// What has to be there before anything is sent.
struct Start {
  std::vector<RequestMaker> makers;
  std::vector<MetricSample> metrics;
};

absl::StatusOr<Start> Prepare(const LoadOptions& options, const Access& access,
                              Canceller& canceller, Channels& channels) {
  Start start;
  HMAR_ASSIGN_OR_RETURN(start.makers, MakeMakers(options, access, canceller));
  HMAR_RETURN_IF_ERROR(channels.Connect(kStartTimeout));
  if (!options.metrics) return start;
  HMAR_ASSIGN_OR_RETURN(start.metrics, Scrape(*options.metrics));
  return start;
}

}  // namespace

int RunLoad(const LoadOptions& options, Canceller& canceller, StopSignal& stop) {
  const absl::StatusOr<Access> access = MakeAccess(options);
  if (!access.ok()) {
    Say(access.status());
    return kLoadUsage;
  }
  Channels channels(options.server, options.kinds, options.connections, access->credentials);
  const absl::StatusOr<Start> start = Prepare(options, *access, canceller, channels);
  if (!start.ok()) {
    Say(start.status());
    return stop.stopped() ? kLoadInterrupted : kLoadNothing;
  }
  ImageMemory memory;
  Report report{.server = Printable(options.server),
                .command = options.command,
                .slo_ms = options.shape.slo_ms,
                .verified = options.verify};
  Seen seen;
  RunLoads(options,
           {options.kinds, start->makers, channels, options.verify ? &memory : nullptr, stop,
            access->keys},
           seen, report);
  if (options.metrics) {
    auto rows = CompareAfter(*options.metrics, start->metrics, seen);
    if (rows.ok()) {
      report.metrics = *std::move(rows);
    } else {
      report.errors.push_back(
          absl::StrCat("the metrics after the load: ", std::string(rows.status().message())));
    }
  }
  AddFindings(options, seen, memory.compared(), stop.stopped(), report);
  return WriteReport(options, report);
}

}  // namespace hmar::load
