#include "client/metrics_text.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "client/printable.h"
#include "model/status_macros.h"

namespace hmar {
namespace {

constexpr size_t kShownBytes = 80;

absl::Status Wrong(absl::string_view what, absl::string_view at) {
  return absl::InvalidArgumentError(
      absl::StrCat(what, " at '", Printable(at.substr(0, kShownBytes), kShownBytes), "'"));
}

void SkipBlanks(absl::string_view& line) {
  while (!line.empty() && (line.front() == ' ' || line.front() == '\t')) line.remove_prefix(1);
}

// Takes a name off the line's start; empty: there is none. Only names of metrics have colons.
std::string TakeName(absl::string_view& line, bool colons) {
  size_t end = 0;
  const auto fits = [&](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return absl::ascii_isalpha(byte) || c == '_' || (colons && c == ':') ||
           (end > 0 && absl::ascii_isdigit(byte));
  };
  while (end < line.size() && fits(line[end])) ++end;
  std::string name(line.substr(0, end));
  line.remove_prefix(end);
  return name;
}

// Takes "text" with its escapes.
absl::StatusOr<std::string> TakeQuoted(absl::string_view& line) {
  const absl::string_view at = line;
  if (!absl::ConsumePrefix(&line, "\"")) return Wrong("no \"", at);
  std::string text;
  while (!line.empty()) {
    const char c = line.front();
    line.remove_prefix(1);
    if (c == '"') return text;
    if (c != '\\') {
      text.push_back(c);
    } else if (absl::ConsumePrefix(&line, "n")) {
      text.push_back('\n');
    } else if (absl::ConsumePrefix(&line, "\\")) {
      text.push_back('\\');
    } else if (absl::ConsumePrefix(&line, "\"")) {
      text.push_back('"');
    } else {
      return Wrong("an escape that is none of \\n \\\\ \\\"", at);
    }
  }
  return Wrong("no end of the text", at);
}

// Takes {a="b",c="d"}, if there is one.
absl::Status TakeLabels(absl::string_view& line, std::map<std::string, std::string>& labels) {
  if (!absl::ConsumePrefix(&line, "{")) return absl::OkStatus();
  while (!absl::ConsumePrefix(&line, "}")) {
    const absl::string_view at = line;
    std::string name = TakeName(line, /*colons=*/false);
    if (name.empty() || !absl::ConsumePrefix(&line, "=")) return Wrong("no label", at);
    HMAR_ASSIGN_OR_RETURN(std::string value, TakeQuoted(line));
    if (!labels.emplace(std::move(name), std::move(value)).second) {
      return Wrong("a label for the second time", at);
    }
    if (labels.size() > kMaxMetricLabels) {
      return Wrong(absl::StrCat("more than ", kMaxMetricLabels, " labels"), at);
    }
    if (!absl::ConsumePrefix(&line, ",") && !absl::StartsWith(line, "}")) {
      return Wrong("no , or }", line);
    }
  }
  return absl::OkStatus();
}

absl::string_view TakeWord(absl::string_view& line) {
  SkipBlanks(line);
  const absl::string_view word = line.substr(0, line.find_first_of(" \t"));
  line.remove_prefix(word.size());
  SkipBlanks(line);
  return word;
}

absl::StatusOr<MetricSample> ParseSample(absl::string_view line) {
  MetricSample sample;
  const absl::string_view whole = line;
  sample.name = TakeName(line, /*colons=*/true);
  if (sample.name.empty()) return Wrong("no name of a metric", whole);
  const size_t before = line.size();
  HMAR_RETURN_IF_ERROR(TakeLabels(line, sample.labels));
  if (line.size() == before && !line.empty() && line.front() != ' ' && line.front() != '\t') {
    return Wrong("no { or blank after the name", whole);
  }
  const absl::string_view value = TakeWord(line);
  if (!absl::SimpleAtod(value, &sample.value)) return Wrong("no number", value);
  const absl::string_view time = TakeWord(line);
  int64_t milliseconds = 0;
  if (!time.empty() && !absl::SimpleAtoi(time, &milliseconds)) return Wrong("no time", time);
  if (!line.empty()) return Wrong("more than a sample", line);
  return sample;
}

}  // namespace

absl::StatusOr<std::vector<MetricSample>> ParseMetrics(absl::string_view text) {
  if (text.size() > kMaxMetricsBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("metrics of ", text.size(), " bytes, at most ", kMaxMetricsBytes));
  }
  std::vector<MetricSample> samples;
  size_t labels = 0;
  for (size_t number = 1; !text.empty(); ++number) {
    const size_t end = text.find('\n');
    const std::string where = absl::StrCat("metrics, line ", number, ": ");
    if (end == absl::string_view::npos) {
      return absl::InvalidArgumentError(absl::StrCat(where, "it has no end"));
    }
    const absl::string_view line = absl::StripSuffix(text.substr(0, end), "\r");
    text.remove_prefix(end + 1);
    if (line.empty() || line.front() == '#') continue;
    absl::StatusOr<MetricSample> sample = ParseSample(line);
    if (!sample.ok()) {
      return absl::InvalidArgumentError(
          absl::StrCat(where, std::string(sample.status().message())));
    }
    labels += sample->labels.size();
    samples.push_back(*std::move(sample));
    if (labels > kMaxMetricsLabels) {
      return absl::InvalidArgumentError(
          absl::StrCat(where, "more than ", kMaxMetricsLabels, " labels in all"));
    }
    if (samples.size() > kMaxMetricsSamples) {
      return absl::InvalidArgumentError(
          absl::StrCat(where, "more than ", kMaxMetricsSamples, " samples"));
    }
  }
  return samples;
}

double SumOf(const std::vector<MetricSample>& samples, const std::string& name,
             const std::map<std::string, std::string>& labels) {
  double sum = 0;
  for (const MetricSample& sample : samples) {
    const bool matches =
        sample.name == name && std::all_of(labels.begin(), labels.end(), [&](const auto& label) {
          const auto found = sample.labels.find(label.first);
          return found != sample.labels.end() && found->second == label.second;
        });
    if (matches) sum += sample.value;
  }
  return sum;
}

}  // namespace hmar
