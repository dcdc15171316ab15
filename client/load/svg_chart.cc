#include "client/load/svg_chart.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_replace.h"

namespace hmar::load {
namespace {

// Pixels.
constexpr double kWidth = 880;
constexpr double kHeight = 300;
constexpr double kLeft = 70;
constexpr double kRight = 16;
constexpr double kTop = 34;
constexpr double kBottom = 48;
constexpr double kLegendRow = 18;
constexpr double kBarRow = 26;
constexpr double kBarLeft = 330;
constexpr size_t kColours = 8;  // Classes c0 .. c7 of the page's style.
constexpr int kTicks = 5;

struct Axis {
  double from = 0;
  double to = 1;
  double start_px = 0;
  double end_px = 0;

  double Px(double value) const {
    return start_px + (value - from) / (to - from) * (end_px - start_px);
  }
};

// 1, 2 or 5 times a power of ten, so that some kTicks of them reach `range`.
double RoundStep(double range) {
  const double rough = range / kTicks;
  const double power = std::pow(10.0, std::floor(std::log10(rough)));
  for (const double factor : {1.0, 2.0, 5.0}) {
    if (factor * power >= rough) return factor * power;
  }
  return 10 * power;
}

std::vector<std::pair<double, std::string>> RoundTicks(double from, double to) {
  std::vector<std::pair<double, std::string>> ticks;
  const double step = RoundStep(to - from);
  const auto first = static_cast<int>(std::ceil(from / step));
  for (int i = first; i * step <= to * (1 + 1e-9); ++i) {
    ticks.emplace_back(i * step, absl::StrFormat("%g", i * step));
  }
  return ticks;
}

std::string Text(double x, double y, const char* anchor, absl::string_view text) {
  return absl::StrFormat(R"(<text x="%.1f" y="%.1f" text-anchor="%s">%s</text>)", x, y, anchor,
                         HtmlEscape(text));
}

std::string Line(const char* style, double x0, double y0, double x1, double y1) {
  return absl::StrFormat(R"(<line class="%s" x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f"/>)", style, x0,
                         y0, x1, y1);
}

std::string Open(const std::string& title, double height) {
  return absl::StrFormat(R"(<svg viewBox="0 0 %.0f %.0f" role="img" aria-label="%s">)", kWidth,
                         height, HtmlEscape(title)) +
         absl::StrFormat(R"(<text class="title" x="%.1f" y="18">%s</text>)", 4.0,
                         HtmlEscape(title));
}

std::string Axes(const LineChart& chart, const Axis& x, const Axis& y) {
  std::string svg;
  for (const auto& [value, name] : RoundTicks(0, y.to)) {
    absl::StrAppend(&svg, Line("grid", x.start_px, y.Px(value), x.end_px, y.Px(value)),
                    Text(x.start_px - 6, y.Px(value) + 4, "end", name));
  }
  const auto ticks = chart.x_ticks.empty() ? RoundTicks(x.from, x.to) : chart.x_ticks;
  const double rounding = 1e-9 * (x.to - x.from);
  for (const auto& [value, name] : ticks) {
    if (value < x.from - rounding || value > x.to + rounding) continue;
    absl::StrAppend(&svg, Line("grid", x.Px(value), y.start_px, x.Px(value), y.end_px),
                    Text(x.Px(value), y.start_px + 16, "middle", name));
  }
  absl::StrAppend(&svg, Line("axis", x.start_px, y.start_px, x.end_px, y.start_px),
                  Text((x.start_px + x.end_px) / 2, y.start_px + 36, "middle", chart.x_label),
                  Text(x.start_px, y.end_px - 4, "end", chart.y_label));
  return svg;
}

std::string Polyline(const Series& series, size_t colour, const Axis& x, const Axis& y) {
  std::string points;
  for (const auto& [px, py] : series.points) {
    absl::StrAppend(&points, absl::StrFormat("%.1f,%.1f ", x.Px(px), y.Px(py)));
  }
  std::string svg = absl::StrFormat(R"(<polyline class="c%d" points="%s"/>)", colour, points);
  if (series.points.size() > 1) return svg;
  const auto& [px, py] = series.points.front();  // A line of one point shows nothing.
  return absl::StrFormat(R"(<circle class="c%d" cx="%.1f" cy="%.1f" r="3"/>)", colour, x.Px(px),
                         y.Px(py));
}

void Widen(const std::vector<Series>& series, Axis& x, Axis& y) {
  x.from = series.front().points.front().first;
  x.to = x.from;
  y.to = 0;
  for (const Series& one : series) {
    x.from = std::min(x.from, one.points.front().first);
    x.to = std::max(x.to, one.points.back().first);
    for (const auto& [px, py] : one.points) y.to = std::max(y.to, py);
  }
  if (x.to <= x.from) x.to = x.from + 1;
  y.to = y.to > 0 ? y.to * 1.05 : 1;
}

}  // namespace

std::string LineChartSvg(const LineChart& chart) {
  std::vector<Series> series = chart.series;
  std::erase_if(series, [](const Series& one) { return one.points.empty(); });
  if (series.empty()) {
    return absl::StrCat("<p>", HtmlEscape(chart.title), ": nothing to draw.</p>\n");
  }
  Axis x{.start_px = kLeft, .end_px = kWidth - kRight};
  Axis y{.start_px = kHeight - kBottom, .end_px = kTop + 12};
  Widen(series, x, y);
  const double height = kHeight + kLegendRow * static_cast<double>(series.size());
  std::string svg = absl::StrCat(Open(chart.title, height), Axes(chart, x, y));
  for (size_t i = 0; i < series.size(); ++i) {
    const size_t colour = i % kColours;
    const double row = kHeight + kLegendRow * static_cast<double>(i);
    absl::StrAppend(&svg, Polyline(series[i], colour, x, y),
                    Line(absl::StrCat("c", colour).c_str(), kLeft, row, kLeft + 24, row),
                    Text(kLeft + 30, row + 4, "start", series[i].name));
  }
  return absl::StrCat(svg, "</svg>\n");
}

std::string BarChartSvg(const std::string& title,
                        const std::vector<std::pair<std::string, double>>& bars) {
  if (bars.empty()) return absl::StrCat("<p>", HtmlEscape(title), ": none.</p>\n");
  double most = 1;
  for (const auto& [name, value] : bars) most = std::max(most, value);
  std::string svg = Open(title, kTop + kBarRow * static_cast<double>(bars.size()));
  for (size_t i = 0; i < bars.size(); ++i) {
    const double top = kTop + kBarRow * static_cast<double>(i);
    const double width = bars[i].second / most * (kWidth - kBarLeft - 90);
    absl::StrAppend(
        &svg, Text(kBarLeft - 8, top + 14, "end", bars[i].first),
        absl::StrFormat(R"(<rect class="bar" x="%.1f" y="%.1f" width="%.1f" height="18"/>)",
                        kBarLeft, top, std::max(width, 1.0)),
        Text(kBarLeft + width + 6, top + 14, "start", absl::StrFormat("%g", bars[i].second)));
  }
  return absl::StrCat(svg, "</svg>\n");
}

std::string HtmlEscape(absl::string_view text) {
  return absl::StrReplaceAll(
      text, {{"&", "&amp;"}, {"<", "&lt;"}, {">", "&gt;"}, {"\"", "&quot;"}, {"'", "&#39;"}});
}

}  // namespace hmar::load
