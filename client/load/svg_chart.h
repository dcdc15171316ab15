#ifndef HMAR_CLIENT_LOAD_SVG_CHART_H_
#define HMAR_CLIENT_LOAD_SVG_CHART_H_

// Charts for the report's page. Pure.

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"

namespace hmar::load {

struct Series {
  std::string name;
  std::vector<std::pair<double, double>> points;  // Finite; x rises.
};

struct LineChart {
  std::string title;
  std::string x_label;
  std::string y_label;
  std::vector<std::pair<double, std::string>> x_ticks = {};  // Empty: round numbers.
  std::vector<Series> series = {};                           // Those without points are left out.
};

// An <svg> of lines from y = 0 on, with its legend, or a sentence where there is nothing to draw.
std::string LineChartSvg(const LineChart& chart);

// Bars from left to right by count, one a line, each with its name and number.
std::string BarChartSvg(const std::string& title,
                        const std::vector<std::pair<std::string, double>>& bars);

// Text that is no markup, in a text or in a quoted attribute.
std::string HtmlEscape(absl::string_view text);

}  // namespace hmar::load

#endif  // HMAR_CLIENT_LOAD_SVG_CHART_H_
