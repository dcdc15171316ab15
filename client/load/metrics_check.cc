#include "client/load/metrics_check.h"

#include <map>

#include "absl/strings/str_cat.h"

namespace hmar::load {
namespace {

constexpr char kRequests[] = "hmar_requests_total";
constexpr char kImages[] = "hmar_images_total";

std::string Sentence(const MetricsRow& row) {
  return absl::StrCat("the server counted ", row.counted, " ", row.what, ", this client saw ",
                      row.seen,
                      row.possible > 0 ? absl::StrCat(" and perhaps ", row.possible, " more") : "");
}

}  // namespace

std::vector<MetricsRow> CompareMetrics(const std::vector<MetricSample>& before,
                                       const std::vector<MetricSample>& after, const Seen& seen) {
  const auto counted = [&](const char* name, const std::map<std::string, std::string>& labels) {
    return SumOf(after, name, labels) - SumOf(before, name, labels);
  };
  std::vector<MetricsRow> rows;
  uint64_t calls = 0;
  for (const auto& [code, of_code] : seen.by_code) {
    rows.push_back({absl::StrCat("requests that ended with ", code), of_code, seen.doubtful,
                    counted(kRequests, {{"code", code}})});
    calls += of_code;
  }
  rows.push_back({"requests", calls, seen.doubtful, counted(kRequests, {})});
  const double images =
      counted(kImages, {{"outcome", "done"}}) + counted(kImages, {{"outcome", "degraded"}});
  rows.push_back({"images done", seen.images, seen.doubtful_images, images});
  return rows;
}

std::vector<std::string> CountedTooFew(const std::vector<MetricsRow>& rows) {
  std::vector<std::string> sentences;
  for (const MetricsRow& row : rows) {
    // A count that is no number is too few, too.
    if (!(row.counted >= static_cast<double>(row.seen))) sentences.push_back(Sentence(row));
  }
  return sentences;
}

std::vector<std::string> CountedMore(const std::vector<MetricsRow>& rows) {
  std::vector<std::string> sentences;
  for (const MetricsRow& row : rows) {
    if (row.counted > static_cast<double>(row.seen + row.possible)) {
      sentences.push_back(absl::StrCat(Sentence(row), ": others may use it"));
    }
  }
  return sentences;
}

}  // namespace hmar::load
