// `hmar`: the command line of the client. Reads the flags, connects, runs one command.

#include <unistd.h>

#include <cstdio>
#include <exception>
#include <variant>

#include "build_version.h"
#include "client/client.h"
#include "client/command_line.h"
#include "client/commands.h"
#include "client/interrupt.h"
#include "client/standard_streams.h"
#include "client/terminal/terminal.h"

namespace {

struct Runner {
  hmar::Client& client;
  hmar::Canceller& canceller;
  hmar::Terminal& terminal;

  int operator()(const hmar::GenerateCommand& c) {
    return RunGenerate(c, client, canceller, terminal);
  }
  int operator()(const hmar::EditCommand& c) { return RunEdit(c, client, canceller, terminal); }
  int operator()(const hmar::ModelsCommand& c) { return RunModels(c, client, canceller); }
  int operator()(const hmar::HealthCommand& c) { return RunHealth(c, client, canceller); }
  int operator()(const hmar::SheetCommand& c) { return RunSheet(c); }
  int operator()(const hmar::KeyNewCommand& c) { return RunKeyNew(c); }
  int operator()(const hmar::WatchCommand& c) { return RunWatch(c, canceller, terminal); }
};

int Run(int argc, const char* const* argv) {
  const auto parsed = hmar::ParseCommandLine(argc, argv, HMAR_BUILD_VERSION);
  if (const auto* early = std::get_if<hmar::EarlyExit>(&parsed)) {
    std::fputs(early->out.c_str(), stdout);
    std::fputs(early->error.c_str(), stderr);
    return early->exit_code;
  }
  const auto& command_line = std::get<hmar::CommandLine>(parsed);
  hmar::Canceller canceller;
  hmar::Terminal terminal(STDIN_FILENO, STDERR_FILENO, hmar::TerminalVariables());
  const hmar::InterruptWatcher watcher({.on_interrupt = [&canceller] { canceller.Cancel(); },
                                        .before_exit = [&terminal] { terminal.Abandon(); },
                                        .on_continue = [&terminal] { terminal.NoteContinue(); }});
  const auto credentials = hmar::MakeCredentials(command_line.tls);
  if (!credentials.ok()) {
    hmar::PrintError(credentials.status());
    return hmar::kExitUsage;
  }
  const auto key = hmar::ReadApiKey(command_line.api_key);
  if (!key.ok()) {
    hmar::PrintError(key.status());
    return hmar::kExitUsage;
  }
  hmar::Client client(command_line.server, *credentials, *key);
  return std::visit(Runner{client, canceller, terminal}, command_line.command);
}

}  // namespace

int main(int argc, char** argv) try {
  hmar::PrepareStandardStreams();
  const int exit_code = Run(argc, argv);
  const absl::Status written = hmar::FlushStandardOutput();
  if (written.ok()) return exit_code;
  hmar::PrintError(written);
  return exit_code == hmar::kExitOk ? hmar::kExitOutput : exit_code;
} catch (const std::exception& error) {  // No memory, or no thread.
  std::fprintf(stderr, "hmar: %s\n", error.what());
  return hmar::kExitCallFailed;
}
