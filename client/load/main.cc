// `hmar-load`: loads a server, checks what comes, reports how long it took.

#include <cstdio>
#include <exception>
#include <variant>

#include "build_version.h"
#include "client/client.h"
#include "client/commands.h"
#include "client/interrupt.h"
#include "client/load/load_command.h"
#include "client/standard_streams.h"

namespace {

int Load(int argc, const char* const* argv) {
  const auto parsed = hmar::load::ParseLoadOptions(argc, argv, HMAR_BUILD_VERSION);
  if (const auto* early = std::get_if<hmar::EarlyExit>(&parsed)) {
    std::fputs(early->out.c_str(), stdout);
    std::fputs(early->error.c_str(), stderr);
    return early->exit_code;
  }
  hmar::Canceller canceller;
  hmar::load::StopSignal stop;
  const hmar::InterruptWatcher watcher({.on_interrupt = [&] {
    canceller.Cancel();
    stop.Stop();
  }});
  return hmar::load::RunLoad(std::get<hmar::load::LoadOptions>(parsed), canceller, stop);
}

}  // namespace

int main(int argc, char** argv) try {
  hmar::PrepareStandardStreams();
  const int exit_code = Load(argc, argv);
  const absl::Status written = hmar::FlushStandardOutput();
  if (written.ok()) return exit_code;
  hmar::PrintError(written);
  return exit_code == hmar::load::kLoadOk ? hmar::load::kLoadOutput : exit_code;
} catch (const std::exception& error) {  // No memory, or no thread.
  std::fprintf(stderr, "hmar-load: %s\n", error.what());
  return hmar::load::kLoadNothing;
}
