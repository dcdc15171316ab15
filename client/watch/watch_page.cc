#include "client/watch/watch_page.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "client/terminal/text_columns.h"

namespace hmar {
namespace {

constexpr uint32_t kNameColumns = 10;   // Of what a line is about.
constexpr uint32_t kModelColumns = 22;  // Of a model's or device's own name.
constexpr uint32_t kBarColumns = 20;
constexpr double kQuantiles[] = {0.5, 0.9, 0.99};

// Servers may send any number.
std::string Number(double value) {
  if (!std::isfinite(value)) return "?";
  if (value != 0 && (std::abs(value) >= 1e7 || std::abs(value) < 0.01)) {
    return absl::StrFormat("%.2g", value);
  }
  return value == std::floor(value) ? absl::StrFormat("%.0f", value)
                                    : absl::StrFormat("%.1f", value);
}

std::string PerSecond(double rate) {
  return std::isfinite(rate) && rate < 1e7 ? absl::StrFormat("%.1f/s", rate)
                                           : absl::StrCat(Number(rate), "/s");
}

std::string Bytes(double bytes) {
  constexpr const char* kUnits[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  size_t unit = 0;
  for (; std::isfinite(bytes) && bytes >= 1024 && unit + 1 < std::size(kUnits); ++unit) {
    bytes /= 1024;
  }
  if (!std::isfinite(bytes)) return "?";
  const bool whole = unit == 0 || bytes >= 100;
  return absl::StrFormat("%.*f %s", whole ? 0 : 1, std::min(bytes, 1e6), kUnits[unit]);
}

std::string SecondsText(std::optional<double> seconds) {
  if (!seconds || !std::isfinite(*seconds)) return "-";
  if (*seconds < 1) return absl::StrFormat("%.1f ms", *seconds * 1000);
  return *seconds < 1000 ? absl::StrFormat("%.2f s", *seconds)
                         : absl::StrCat(Number(std::round(*seconds)), " s");
}

std::string Since(double seconds) {
  if (!std::isfinite(seconds) || seconds < 0 || seconds > 1e9) return "?";
  return absl::FormatDuration(absl::Seconds(static_cast<int64_t>(seconds)));
}

std::string Line(const std::string& name, const std::string& text) {
  return absl::StrCat(PadRight(name, kNameColumns), " ", text);
}

// "12.0/s done   0.1/s failed": those that move, and `always`.
std::string RatesText(const Counts& rates, const std::string& always) {
  std::vector<std::string> parts;
  for (const auto& [name, rate] : rates) {
    if (rate > 0 || name == always) parts.push_back(absl::StrCat(PerSecond(rate), " ", name));
  }
  return parts.empty() ? "none" : absl::StrJoin(parts, "   ");
}

double TotalOf(const ServerCounts& counts, double ServerCounts::Model::*field) {
  double total = 0;
  for (const auto& [name, model] : counts.models) total += model.*field;
  return total;
}

std::string StateText(const WatchState& state, absl::Time now) {
  if (!state.failure.empty()) {
    const std::string since =
        state.window.empty()
            ? ""
            : absl::StrCat(", last seen ", Since(absl::ToDoubleSeconds(now - state.seen)), " ago");
    return absl::StrCat("no answer", since, ": ", state.failure);
  }
  if (state.window.empty()) return "asking";
  return state.window.latest().ready ? "ready" : "not ready";
}

void AddThroughput(const CountWindow& window, std::vector<std::string>& lines) {
  const double steps = window.Rate(&ServerCounts::steps);
  const auto a_step = [&](double ServerCounts::*field) {
    return steps > 0 ? Number(std::round(10 * window.Rate(field) / steps) / 10) : "-";
  };
  lines.push_back(Line("images", RatesText(window.Rates(&ServerCounts::images), "done")));
  lines.push_back(
      Line("steps", absl::StrCat(PerSecond(steps), "   ", a_step(&ServerCounts::step_images),
                                 " images and ", a_step(&ServerCounts::step_rows), " rows each")));
  lines.push_back(Line("requests", RatesText(window.Rates(&ServerCounts::requests), "OK")));
  lines.push_back(Line("refused", RatesText(window.Rates(&ServerCounts::refused), "")));
}

void AddLatency(const CountWindow& window, std::vector<std::string>& lines) {
  constexpr std::pair<const char*, const char*> kRows[] = {{"request", kRequestSeconds},
                                                           {"preview", kFirstPreviewSeconds},
                                                           {"queue", kQueueSeconds},
                                                           {"step", kStepSeconds}};
  std::string head = PadRight("latency", kNameColumns);
  for (const double q : kQuantiles) {
    absl::StrAppend(&head, " ", PadLeft(absl::StrFormat("p%.0f", 100 * q), kNameColumns));
  }
  lines.push_back(absl::StrCat(head, " ", PadLeft("of", kNameColumns)));
  for (const auto& [name, family] : kRows) {
    const Buckets observed = window.Observed(family);
    std::string line = PadRight(absl::StrCat("  ", name), kNameColumns);
    for (const double q : kQuantiles) {
      absl::StrAppend(&line, " ", PadLeft(SecondsText(Quantile(observed, q)), kNameColumns));
    }
    const double count = observed.empty() ? 0 : observed.rbegin()->second;
    lines.push_back(absl::StrCat(line, " ", PadLeft(Number(count), kNameColumns)));
  }
}

void AddBuffers(const ServerCounts& counts, std::vector<std::string>& lines) {
  for (const auto& [name, buffer] : counts.buffers) {
    const double part = buffer.limit_bytes > 0 ? buffer.bytes / buffer.limit_bytes : 0;
    const double kept = std::isfinite(part) ? std::clamp(part, 0.0, 1.0) : 0;
    const auto full = static_cast<size_t>(std::ceil(kept * kBarColumns));
    lines.push_back(
        Line("buffer", absl::StrCat(PadRight(name, kModelColumns), " [", std::string(full, '#'),
                                    std::string(kBarColumns - full, '.'), "] ", Bytes(buffer.bytes),
                                    " of ", Bytes(buffer.limit_bytes))));
  }
}

void AddDevices(const CountWindow& window, std::vector<std::string>& lines) {
  for (const auto& [name, device] : window.latest().devices) {
    std::vector<std::string> memory;
    for (const auto& [kind, bytes] : device.memory_bytes) {
      memory.push_back(absl::StrCat(kind, " ", Bytes(bytes)));
    }
    lines.push_back(Line(
        "device", absl::StrCat(PadRight(name, kModelColumns), " ",
                               PadLeft(absl::StrFormat("%.0f %%", 100 * window.BusyPart(name)), 5),
                               " busy   ", Number(device.running), " running   ",
                               absl::StrJoin(memory, ", "))));
  }
}

void AddModels(const CountWindow& window, std::vector<std::string>& lines) {
  for (const auto& [name, model] : window.latest().models) {
    if (name.empty() || model.digest.empty()) continue;  // Requests that named none.
    lines.push_back(Line(
        "model", absl::StrCat(PadRight(name, kModelColumns), " ",
                              PadLeft(PerSecond(window.ImagesRate(name)), 9), "   ",
                              Number(model.waiting), " waiting   ", Number(model.running),
                              " running   ", model.precision, "   ", model.digest.substr(0, 12))));
  }
}

}  // namespace

std::vector<std::string> WatchPage(const WatchState& state, absl::Time now) {
  std::vector<std::string> lines;
  lines.push_back(absl::StrCat(state.address, "   ", StateText(state, now)));
  if (state.window.empty()) return lines;
  const ServerCounts& counts = state.window.latest();
  const double up = absl::ToDoubleSeconds(state.seen - absl::UnixEpoch()) - counts.start_seconds;
  lines.push_back(absl::StrCat(
      "version ", counts.version, "   up ", Since(up), "   memory ", Bytes(counts.resident_bytes),
      "   ",
      state.window.seconds() > 0 ? absl::StrFormat("over the last %.1f s:", state.window.seconds())
                                 : "rates come with the next look"));
  AddThroughput(state.window, lines);
  lines.push_back(Line(
      "queue", absl::StrCat(Number(TotalOf(counts, &ServerCounts::Model::waiting)),
                            " images waiting of ", Number(counts.waiting_clients), " clients   ",
                            Number(TotalOf(counts, &ServerCounts::Model::running)), " running   ",
                            Number(counts.open_calls), " calls, ", Number(counts.connections),
                            " connections")));
  AddLatency(state.window, lines);
  AddBuffers(counts, lines);
  AddDevices(state.window, lines);
  AddModels(state.window, lines);
  return lines;
}

std::string WatchLine(const WatchState& state, absl::Time now, absl::TimeZone zone) {
  const std::string time = absl::FormatTime("%Y-%m-%dT%H:%M:%S", now, zone);
  if (!state.failure.empty() || state.window.empty()) {
    return absl::StrCat(time, "  ", StateText(state, now));
  }
  const ServerCounts& counts = state.window.latest();
  const Buckets requests = state.window.Observed(kRequestSeconds);
  return absl::StrCat(time, "  ", StateText(state, now), "  images ",
                      RatesText(state.window.Rates(&ServerCounts::images), "done"), "  steps ",
                      PerSecond(state.window.Rate(&ServerCounts::steps)), "  waiting ",
                      Number(TotalOf(counts, &ServerCounts::Model::waiting)), "  running ",
                      Number(TotalOf(counts, &ServerCounts::Model::running)), "  request p50 ",
                      SecondsText(Quantile(requests, 0.5)), " p99 ",
                      SecondsText(Quantile(requests, 0.99)));
}

}  // namespace hmar
