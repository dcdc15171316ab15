// hmar-server. Exit codes: 0 stopped by a signal, all accepted requests finished; 1 could not start
// (a model, a port); 2 bad flags; 3 failed while running (a probe image), or requests were left at
// the end of --drain-seconds, or a step of a device was not over by then; 4 ended at once by a
// second signal; 5 a device was lost, or hung (--hang-seconds, --probe-seconds, --load-seconds).

#include <signal.h>
#include <spdlog/logger.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "build_version.h"
#include "server/base/error_reasons.h"
#include "server/base/errors.h"
#include "server/base/random_source.h"
#include "server/engine_factory.h"
#include "server/exit_guard.h"
#include "server/operations/logging.h"
#include "server/operations/process_signals.h"
#include "server/operations/reloader.h"
#include "server/options.h"
#include "server/server.h"
#include "server/watched_files.h"

namespace hmar {
namespace {

enum ExitCode { kStopped = 0, kCannotStart = 1, kBadFlags = 2, kFailed = 3, kDeviceLost = 5 };

// Runs before the start of any library: that opens files, too.
[[gnu::section(".preinit_array"),
  gnu::used]] void (*const kBeforeLibraries)() = OpenMissingStandardFiles;

constexpr absl::Duration kLastWords = absl::Seconds(2);  // For clients to hear of a lost device.

ExitCode CodeOf(const absl::Status& fatal) {
  return ReasonName(fatal) == RowOf(Reason::kDeviceLost).name ? kDeviceLost : kFailed;
}

// Serves until there is a reason to stop, then stops. The exit code.
int AwaitEnd(Server* server, const ServerOptions& options, ProcessSignals* signals,
             Logging* logging) {
  spdlog::logger& log = *logging->log();
  const StopReason reason = signals->Await();
  if (reason.exit_code == kStopped) {
    log.info("{}: stopping", reason.what);
    server->AnnounceDrain(absl::Seconds(options.drain_delay_seconds));
    log.info("finishing what was accepted, for at most {} s", options.drain_seconds);
  }
  const bool finished =
      reason.exit_code == kStopped && server->Drain(absl::Seconds(options.drain_seconds));
  if (server->device_lost()) {
    server->HangUp(kLastWords);
    EndAtOnce(kDeviceLost, logging);  // Engines may wait for a lost device for ever.
  }
  if (reason.exit_code != kStopped) return reason.exit_code;
  if (!finished) {
    log.error("requests were left unfinished after {} s", options.drain_seconds);
    return kFailed;
  }
  log.info("stopped");
  return kStopped;
}

int Serve(const ServerOptions& options, const WatchedFiles& files, ProcessSignals* signals,
          Logging* logging) {
  spdlog::logger& log = *logging->log();
  DeviceSeededRandom random;
  ServerDependencies dependencies;
  dependencies.make_engine = MakeEngine;
  dependencies.clock = &files.clock();
  dependencies.keys = files.keys();
  dependencies.metrics_auth = files.metrics_auth();
  dependencies.random = &random;
  dependencies.log = logging->log();
  dependencies.access = logging->access();
  dependencies.log_metrics = logging->metrics();
  log.info("options {}", DescribeOptions(options));
  ExitGuard guard(signals, logging,
                  absl::Seconds(options.drain_delay_seconds + options.drain_seconds));
  dependencies.on_fatal = [&](const absl::Status& status) {
    log.error("{}", std::string(status.message()));
    signals->Stop({CodeOf(status), std::string(status.message())});
    guard.Fail(CodeOf(status));
  };
  auto server = Server::Start(options, std::move(dependencies));
  guard.Loaded();
  if (!server.ok()) {
    log.error("{}", std::string(server.status().message()));
    return kCannotStart;
  }
  return AwaitEnd(server->get(), options, signals, logging);
}

void ActOn(int signal, Logging* logging, Reloader* reloader) {
  if (signal == SIGUSR1) {
    logging->SwitchLevel();
  } else if (signal == SIGHUP) {
    reloader->Request();
  } else {
    logging->log()->info("{}: ignored; SIGTERM stops the server", strsignal(signal));
  }
}

// The command line and its --config file are read as at the start, so that flags win here, too.
Reloader::Hook ReloadLogLevel(int argc, const char* const* argv, Logging* logging) {
  return [=]() -> absl::StatusOr<std::string> {
    const absl::StatusOr<CommandLine> again = ParseCommandLine(argc, argv);
    if (!again.ok()) return again.status();
    if (again->config.empty()) return absl::NotFoundError("there is no --config file to read");
    logging->SetLevel(again->options.log_level);
    return absl::StrCat("read ", again->config);
  };
}

// Debian builds Abseil without NDEBUG, so that every mutex of gRPC is a node of one graph under one
// lock, and what a crowd's nodes took is never given back. The tests keep the detection.
void ForgoDeadlockDetection() {
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
}

int Main(int argc, const char* const* argv) {
  ForgoDeadlockDetection();
  const auto command_line = ParseCommandLine(argc, argv, HMAR_BUILD_VERSION);
  if (!command_line.ok()) {
    std::fprintf(stderr, "hmar-server: %s\n", std::string(command_line.status().message()).c_str());
    return kBadFlags;
  }
  if (command_line->print.has_value()) {
    std::fputs(command_line->print->c_str(), stdout);
    return kStopped;
  }
  ProcessSignals signals;
  Logging logging(command_line->options.log_level, command_line->options.access_log);
  logging.TakeGrpcMessages();
  WatchedFiles files;
  Reloader reloader(logging.log());
  reloader.Add("log level", ReloadLogLevel(argc, argv, &logging));
  if (const absl::Status status = files.Open(command_line->options, &reloader); !status.ok()) {
    logging.log()->error("{}", std::string(status.message()));
    return kCannotStart;
  }
  signals.OnOthers([&](int signal) { ActOn(signal, &logging, &reloader); });
  const int exit_code = Serve(command_line->options, files, &signals, &logging);
  signals.OnOthers(nullptr);
  return exit_code;
}

}  // namespace
}  // namespace hmar

int main(int argc, char** argv) { return hmar::Main(argc, argv); }
