#include "client/load/findings.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/load/metrics_check.h"

namespace hmar::load {
namespace {

// A generator that is later than this tells of itself, not of the server.
constexpr double kLateMs = 10;

void WarnOfRun(const LoadOptions& options, const RunReport& run, Report& report) {
  const auto warn = [&](const std::string& text) {
    report.warnings.push_back(absl::StrCat(RunName(run), ": ", text));
  };
  const Summary& all = run.all;
  if (all.not_sent > 0) {
    warn(absl::StrCat(all.not_sent, " of ", all.due, " calls were NOT SENT: --max-outstanding ",
                      options.shape.max_outstanding,
                      " were open; latencies are of those that were sent"));
  }
  if (all.timed_out > 0) {
    warn(absl::StrCat(all.timed_out, " calls were given up after --timeout ",
                      absl::FormatDuration(options.shape.timeout), "; no latency counts them"));
  }
  if (run.late_ms.count > 0 && run.late_ms.p99 > kLateMs) {
    warn(
        absl::StrFormat("hmar-load itself was late: calls were sent up to %.1f ms (p99 %.1f) after "
                        "they were due; latencies include that",
                        run.late_ms.max, run.late_ms.p99));
  }
  if (all.interrupted > 0) {
    warn(absl::StrCat(all.interrupted, " calls were open when it was interrupted"));
  }
  if (const Distribution& ms = all.latency_ms; ms.kept < ms.count) {
    warn(absl::StrCat("percentiles are of ", ms.kept, " calls drawn from ", ms.count));
  }
}

bool AnythingSucceeded(const Report& report) {
  for (const RunReport& run : report.runs) {
    if (run.all.ok > 0 || run.all.cancelled > 0) return true;
  }
  return false;
}

}  // namespace

void AddFindings(const LoadOptions& options, const Seen& seen, uint64_t compared, bool interrupted,
                 Report& report) {
  for (const RunReport& run : report.runs) WarnOfRun(options, run, report);
  if (options.verify && compared == 0) {
    report.warnings.push_back("--verify compared nothing: no image came twice");
  }
  for (const std::string& more : CountedMore(report.metrics)) report.warnings.push_back(more);
  if (seen.mismatched > 0) {
    report.errors.push_back(
        absl::StrCat(seen.mismatched, " calls came with other bytes than the same request before"));
  }
  if (seen.no_answers > 0) {
    report.errors.push_back(
        absl::StrCat(seen.no_answers, " answers do not belong to their request"));
  }
  for (const std::string& few : CountedTooFew(report.metrics)) report.errors.push_back(few);
  if (!report.errors.empty()) {
    report.exit_code = kLoadInconsistent;
  } else if (interrupted) {
    report.exit_code = kLoadInterrupted;
  } else if (!AnythingSucceeded(report)) {
    report.exit_code = kLoadNothing;
    report.errors.push_back("not one call succeeded");
  }
  if (interrupted) report.warnings.push_back("interrupted: this is not the whole load");
}

}  // namespace hmar::load
