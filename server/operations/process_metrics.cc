#include "server/operations/process_metrics.h"

#include <sys/resource.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <sstream>
#include <string>
#include <system_error>

#include "prometheus/client_metric.h"
#include "prometheus/metric_family.h"

namespace hmar {
namespace {

using prometheus::MetricType;

prometheus::MetricFamily OneValue(const char* name, const char* help, MetricType type,
                                  double value) {
  prometheus::ClientMetric metric;
  (type == MetricType::Counter ? metric.counter.value : metric.gauge.value) = value;
  return {name, help, type, {metric}};
}

// Fields of /proc/self/stat, by their numbers in proc(5).
class ProcStat {
 public:
  // Nothing: the file cannot be read.
  static std::optional<ProcStat> Read() {
    std::ifstream file("/proc/self/stat");
    std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
    // Field 2 is the program's name in parentheses and may hold anything; field 3 follows the last.
    const size_t name_end = text.rfind(')');
    if (name_end == std::string::npos) return std::nullopt;
    ProcStat stat;
    std::istringstream rest(text.substr(name_end + 1));
    for (std::string field; rest >> field;) stat.fields_.push_back(field);
    if (stat.fields_.size() < 24 - 3 + 1) return std::nullopt;
    return stat;
  }

  double field(int number) const { return std::strtod(fields_[number - 3].c_str(), nullptr); }

 private:
  std::vector<std::string> fields_;  // From field 3.
};

// Seconds since the epoch at which the machine was booted.
std::optional<double> BootTime() {
  std::ifstream file("/proc/stat");
  std::string word;
  while (file >> word) {
    if (double seconds = 0; word == "btime" && file >> seconds) return seconds;
  }
  return std::nullopt;
}

std::optional<double> OpenFiles() {
  std::error_code error;
  std::filesystem::directory_iterator entries("/proc/self/fd", error);
  if (error) return std::nullopt;
  // One of them is the folder itself, open for this count.
  return static_cast<double>(std::distance(begin(entries), end(entries)) - 1);
}

void AddStat(std::vector<prometheus::MetricFamily>& families) {
  const std::optional<ProcStat> stat = ProcStat::Read();
  if (!stat) return;
  const double ticks_per_second = static_cast<double>(sysconf(_SC_CLK_TCK));
  const double page_bytes = static_cast<double>(sysconf(_SC_PAGESIZE));
  families.push_back(OneValue("process_cpu_seconds_total", "User and system time.",
                              MetricType::Counter,
                              (stat->field(14) + stat->field(15)) / ticks_per_second));
  families.push_back(OneValue("process_threads", "Threads.", MetricType::Gauge, stat->field(20)));
  families.push_back(OneValue("process_virtual_memory_bytes", "Address space.", MetricType::Gauge,
                              stat->field(23)));
  families.push_back(OneValue("process_resident_memory_bytes", "Memory in RAM.", MetricType::Gauge,
                              stat->field(24) * page_bytes));
  if (const std::optional<double> boot = BootTime()) {
    families.push_back(OneValue("process_start_time_seconds", "Start, in seconds since the epoch.",
                                MetricType::Gauge, *boot + stat->field(22) / ticks_per_second));
  }
}

void AddFiles(std::vector<prometheus::MetricFamily>& families) {
  if (const std::optional<double> open = OpenFiles()) {
    families.push_back(
        OneValue("process_open_fds", "Open file descriptors.", MetricType::Gauge, *open));
  }
  rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
    families.push_back(OneValue("process_max_fds", "Most file descriptors that may be open.",
                                MetricType::Gauge, static_cast<double>(limit.rlim_cur)));
  }
}

}  // namespace

std::vector<prometheus::MetricFamily> ProcessMetrics::Collect() const {
  std::vector<prometheus::MetricFamily> families;
  AddStat(families);
  AddFiles(families);
  return families;
}

}  // namespace hmar
