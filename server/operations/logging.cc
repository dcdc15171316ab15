#include "server/operations/logging.h"

#include <grpc/support/log.h>
#include <spdlog/async_logger.h>
#include <spdlog/details/thread_pool.h>
#include <spdlog/sinks/ansicolor_sink.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

namespace hmar {
namespace {

constexpr size_t kWaitingLines = 8192;

std::shared_ptr<spdlog::logger> MakeLogger(
    const std::string& name, spdlog::sink_ptr sink, const std::string& pattern,
    const std::shared_ptr<spdlog::details::thread_pool>& writer) {
  auto logger = std::make_shared<spdlog::async_logger>(
      name, std::move(sink), writer, spdlog::async_overflow_policy::overrun_oldest);
  logger->set_pattern(pattern);
  logger->flush_on(spdlog::level::info);
  return logger;
}

void LogGrpcMessage(gpr_log_func_args* args) {
  // gRPC's hook is a plain function, so the logger is looked up in spdlog's registry.
  const std::shared_ptr<spdlog::logger> log = spdlog::get("hmar");
  if (log != nullptr) log->debug("gRPC: {} ({}:{})", args->message, args->file, args->line);
}

}  // namespace

Logging::Logging(const std::string& level, bool access)
    : writer_(std::make_shared<spdlog::details::thread_pool>(kWaitingLines, 1)),
      log_(MakeLogger("hmar", std::make_shared<spdlog::sinks::ansicolor_stderr_sink_mt>(),
                      "%Y-%m-%dT%H:%M:%S.%e %^%l%$ %v", writer_)) {
  log_->set_level(spdlog::level::from_str(level));
  if (access) {
    access_ =
        MakeLogger("access", std::make_shared<spdlog::sinks::stdout_sink_mt>(), "%v", writer_);
  }
}

Logging::~Logging() { spdlog::drop("hmar"); }

void Logging::Close() {
  log_->set_level(spdlog::level::off);
  if (access_ != nullptr) access_->set_level(spdlog::level::off);
  writer_.reset();  // The loggers do not own it.
}

void Logging::TakeGrpcMessages() {
  spdlog::register_logger(log_);
  gpr_set_log_function(LogGrpcMessage);
}

}  // namespace hmar
