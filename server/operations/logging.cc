#include "server/operations/logging.h"

#include <fcntl.h>
#include <grpc/support/log.h>
#include <spdlog/logger.h>
#include <spdlog/sinks/base_sink.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>
#include <mutex>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "prometheus/client_metric.h"
#include "prometheus/metric_family.h"
#include "server/operations/line_writer.h"

namespace hmar {
namespace {

constexpr size_t kMaxWaitingBytes = size_t{4} << 20;  // Of each log.

std::string LostEvents(uint64_t lost) {
  return absl::StrCat(absl::FormatTime("%Y-%m-%dT%H:%M:%E3S", absl::Now(), absl::LocalTimeZone()),
                      " warning ", lost, " lines of this log are missing here\n");
}

std::string LostCalls(uint64_t lost) {
  return absl::StrCat("{\"time\":\"",
                      absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", absl::Now(), absl::UTCTimeZone()),
                      "\",\"lines_lost\":", lost, "}\n");
}

// Formats a line and hands it to a LineWriter.
class WriterSink final : public spdlog::sinks::base_sink<std::mutex> {
 public:
  WriterSink(std::shared_ptr<LineWriter> writer, bool color)
      : writer_(std::move(writer)), color_(color) {}

 private:
  void sink_it_(const spdlog::details::log_msg& message) override {
    spdlog::memory_buf_t buffer;
    formatter_->format(message, buffer);
    std::string line(buffer.data(), buffer.size());
    if (color_ && message.color_range_end > message.color_range_start) {
      line.insert(message.color_range_end, "\033[0m");
      line.insert(message.color_range_start, ColorOf(message.level));
    }
    writer_->Write(std::move(line));
  }

  void flush_() override {}

  static const char* ColorOf(spdlog::level::level_enum level) {
    if (level >= spdlog::level::err) return "\033[31m";   // Red.
    if (level == spdlog::level::warn) return "\033[33m";  // Yellow.
    return level == spdlog::level::info ? "\033[32m" : "\033[36m";
  }

  const std::shared_ptr<LineWriter> writer_;
  const bool color_;
};

std::shared_ptr<spdlog::logger> MakeLogger(const std::string& name,
                                           std::shared_ptr<LineWriter> writer, bool color,
                                           const std::string& pattern) {
  auto logger = std::make_shared<spdlog::logger>(
      name, std::make_shared<WriterSink>(std::move(writer), color));
  logger->set_pattern(pattern, spdlog::pattern_time_type::utc);
  return logger;
}

class LostLines final : public prometheus::Collectable {
 public:
  LostLines(std::shared_ptr<LineWriter> log, std::shared_ptr<LineWriter> access)
      : log_(std::move(log)), access_(std::move(access)) {}

  std::vector<prometheus::MetricFamily> Collect() const override {
    prometheus::MetricFamily family = {
        "hmar_log_lines_lost_total",
        "Lines of a log that were not written: its reader is too slow, or gone.",
        prometheus::MetricType::Counter,
        {}};
    family.metric.push_back(Sample("events", *log_));
    if (access_ != nullptr) family.metric.push_back(Sample("access", *access_));
    return {family};
  }

 private:
  static prometheus::ClientMetric Sample(const char* name, const LineWriter& writer) {
    prometheus::ClientMetric metric;
    metric.label = {{"log", name}};
    metric.counter.value = static_cast<double>(writer.lost());
    return metric;
  }

  const std::shared_ptr<LineWriter> log_;
  const std::shared_ptr<LineWriter> access_;  // May be null.
};

void LogGrpcMessage(gpr_log_func_args* args) {
  // gRPC's hook is a plain function, so the logger is looked up in spdlog's registry.
  const std::shared_ptr<spdlog::logger> log = spdlog::get("hmar");
  if (log != nullptr) log->debug("gRPC: {} ({}:{})", args->message, args->file, args->line);
}

}  // namespace

void OpenMissingStandardFiles() {
  // open() takes the lowest number that is free: the one that was just looked at.
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (fcntl(fd, F_GETFD) == -1) open("/dev/null", O_RDWR);
  }
}

Logging::Logging(const std::string& level, bool access)
    : log_writer_(std::make_shared<LineWriter>(STDERR_FILENO, kMaxWaitingBytes, LostEvents)),
      access_writer_(access
                         ? std::make_shared<LineWriter>(STDOUT_FILENO, kMaxWaitingBytes, LostCalls)
                         : nullptr),
      log_(MakeLogger("hmar", log_writer_, isatty(STDERR_FILENO) == 1,
                      "%Y-%m-%dT%H:%M:%S.%eZ %^%l%$ %v")),
      metrics_(std::make_shared<LostLines>(log_writer_, access_writer_)),
      level_(spdlog::level::from_str(level)) {
  log_->set_level(spdlog::level::from_str(level));
  if (access) access_ = MakeLogger("access", access_writer_, false, "%v");
}

Logging::~Logging() {
  spdlog::drop("hmar");
  Close();
}

void Logging::Close() {
  log_writer_->Close(LineWriter::kLastFlush);
  if (access_writer_ != nullptr) access_writer_->Close(LineWriter::kLastFlush);
}

void Logging::TakeGrpcMessages() {
  spdlog::register_logger(log_);
  gpr_set_log_function(LogGrpcMessage);
}

void Logging::SwitchLevel() {
  absl::MutexLock lock(&mutex_);
  const int other = level_ <= spdlog::level::debug ? spdlog::level::info : spdlog::level::debug;
  Change(switched_ ? level_ : other);
  switched_ = !switched_;
}

void Logging::SetLevel(const std::string& level) {
  absl::MutexLock lock(&mutex_);
  level_ = spdlog::level::from_str(level);
  switched_ = false;
  Change(level_);
}

// Said while the finer of the two levels holds, or nobody would see it.
void Logging::Change(int number) {
  const auto level = static_cast<spdlog::level::level_enum>(number);
  log_->set_level(std::min({log_->level(), level, spdlog::level::info}));
  log_->info("log level {}", spdlog::level::to_string_view(level));
  log_->set_level(level);
}

}  // namespace hmar
