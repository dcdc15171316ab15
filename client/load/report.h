#ifndef HMAR_CLIENT_LOAD_REPORT_H_
#define HMAR_CLIENT_LOAD_REPORT_H_

// What a load found out: plain data, and its three forms. Texts of servers are in it only where
// recorder.h bounds them (reasons), and in `notes`, which are printable.

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "client/load/samples.h"

namespace hmar::load {

// Of one kind of call, or of all. Counted are calls that were due after the warm-up.
struct Summary {
  std::string name;
  uint64_t due = 0;  // sent + not_sent
  uint64_t sent = 0;
  uint64_t not_sent = 0;         // --max-outstanding calls were open.
  uint64_t ok = 0;               // A whole answer, of the right bytes.
  uint64_t cancelled = 0;        // By the client, as the kind says.
  uint64_t timed_out = 0;        // By the client: --timeout.
  uint64_t interrupted = 0;      // By the client: Ctrl-C.
  uint64_t failed = 0;           // All else; `errors` has them by code and reason.
  uint64_t no_answer = 0;        // Of failed: what came does not belong to the request.
  uint64_t mismatched = 0;       // Of failed: --verify found other bytes.
  uint64_t degraded = 0;         // Of ok: an image was finished early.
  uint64_t good = 0;             // Of ok: within --slo-ms.
  uint64_t images = 0;           // That came, in calls of any end.
  double images_per_second = 0;  // Those, over RunReport.measured_seconds.
  double good_per_second = 0;

  Distribution latency_ms;        // Of ok: from when it was due to its end.
  Distribution accepted_ms;       // From when it was due; streams alone.
  Distribution first_preview_ms;  // Likewise.
  Distribution refusal_ms;        // Of calls that a server refused before Accepted, likewise.
  Distribution estimate_ratio;    // Of ok: Accepted.estimated_time / the time it then took.

  std::map<std::pair<std::string, std::string>, uint64_t> errors;  // By code and reason.
};

// One load: a rate, or a number of callers.
struct RunReport {
  std::optional<double> rate;           // Calls a second; open loop.
  std::optional<uint32_t> concurrency;  // Calls in flight; closed loop.
  double sending_seconds = 0;           // From the warm-up's end to the last call's sending.
  double measured_seconds = 0;          // From the warm-up's end until calls were sent and ended.
  // Images of any call that came while calls were sent, after the warm-up, a second of that: what
  // the server gives while the load stands. 0 where there was no such time.
  double sustained_images_per_second = 0;
  Distribution late_ms;  // From when a call was due to when it was sent: the generator's own delay.
  double bucket_seconds = 1;
  std::vector<uint64_t> images_by_bucket;  // From the start, the warm-up with it.
  Summary all;
  std::vector<Summary> kinds;
};

// What the server's metrics say beside what was seen.
struct MetricsRow {
  std::string what;
  uint64_t seen = 0;      // By this client.
  uint64_t possible = 0;  // And what the server may have counted so, although it was not seen.
  double counted = 0;     // By the server.
};

struct Report {
  std::string server;
  std::string command;  // The options that matter, for the reader.
  double slo_ms = 0;    // 0: none.
  bool verified = false;
  std::vector<RunReport> runs = {};  // One, or one for each rate of a sweep.
  std::vector<MetricsRow> metrics = {};
  std::vector<std::string> warnings = {};  // Something to know of when reading the figures.
  std::vector<std::string> errors = {};    // What makes the exit code other than 0.
  int exit_code = 0;
};

// For standard output: at most 140 columns.
std::string ReportTable(const Report& report);

// Everything, as JSON.
std::string ReportJson(const Report& report);

// A page that needs nothing else: no script, pictures as SVG in it.
std::string ReportHtml(const Report& report);

// "rate 5/s" or "16 in flight".
std::string RunName(const RunReport& run);

}  // namespace hmar::load

#endif  // HMAR_CLIENT_LOAD_REPORT_H_
