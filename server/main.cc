// hmar-server. Exit codes: 0 stopped by a signal, all accepted requests finished; 1 could not start
// (a model, a port); 2 bad flags; 3 failed while running (a probe image), or requests were left at
// the end of --drain-seconds; 4 ended at once by a second signal.

#include <spdlog/logger.h>

#include <cstdio>
#include <memory>
#include <string>
#include <utility>

#include "model/cpu_engine.h"
#include "model/model_folder.h"
#include "model/status_macros.h"
#include "server/clock.h"
#include "server/logging.h"
#include "server/options.h"
#include "server/random_source.h"
#include "server/server.h"
#include "server/stop_signals.h"

namespace hmar {
namespace {

enum ExitCode { kStopped = 0, kCannotStart = 1, kBadFlags = 2, kFailed = 3 };

absl::StatusOr<std::unique_ptr<Engine>> MakeEngine(const ModelSpec& spec,
                                                   const ServerOptions& options) {
  if (options.device != "cpu") {
    return absl::UnimplementedError("--device " + options.device +
                                    ": this build has no CUDA engine");
  }
  HMAR_ASSIGN_OR_RETURN(ModelFolder folder, OpenModelFolder(spec.path, options.architecture));
  folder.config.name = spec.name;
  CpuEngineOptions engine_options;
  engine_options.max_images = options.max_images_in_flight;
  engine_options.threads = static_cast<int>(options.threads);
  return MakeCpuEngine(std::move(folder), engine_options);
}

int Serve(const ServerOptions& options, StopSignals* signals, const Logging& logging) {
  spdlog::logger& log = *logging.log();
  const RealClock clock;
  DeviceSeededRandom random;
  ServerDependencies dependencies;
  dependencies.make_engine = MakeEngine;
  dependencies.clock = &clock;
  dependencies.random = &random;
  dependencies.log = logging.log();
  dependencies.access = logging.access();
  dependencies.on_fatal = [signals](const absl::Status& status) {
    signals->Stop({true, std::string(status.message())});
  };
  auto server = Server::Start(options, std::move(dependencies));
  if (!server.ok()) {
    log.error("{}", std::string(server.status().message()));
    return kCannotStart;
  }
  log.info("options {}", DescribeOptions(options));
  const StopReason reason = signals->Await();
  if (reason.failed) {
    log.error("{}", reason.what);
    return kFailed;
  }
  log.info("{}: finishing what was accepted, for at most {} s", reason.what, options.drain_seconds);
  if (!(*server)->Drain(absl::Seconds(options.drain_seconds))) {
    log.error("requests were left unfinished after {} s", options.drain_seconds);
    return kFailed;
  }
  log.info("stopped");
  return kStopped;
}

int Main(int argc, const char* const* argv) {
  const auto command_line = ParseCommandLine(argc, argv);
  if (!command_line.ok()) {
    std::fprintf(stderr, "hmar-server: %s\n", std::string(command_line.status().message()).c_str());
    return kBadFlags;
  }
  if (command_line->print.has_value()) {
    std::fputs(command_line->print->c_str(), stdout);
    return kStopped;
  }
  StopSignals signals;
  Logging logging(command_line->options.log_level, command_line->options.access_log);
  logging.TakeGrpcMessages();
  return Serve(command_line->options, &signals, logging);
}

}  // namespace
}  // namespace hmar

int main(int argc, char** argv) { return hmar::Main(argc, argv); }
