#ifndef HMAR_CLIENT_COMMANDS_H_
#define HMAR_CLIENT_COMMANDS_H_

// What each command of `hmar` does. Each prints its results to standard output, progress and errors
// to standard error, which is where `terminal` writes.

#include <string>

#include "absl/status/status.h"
#include "client/client.h"
#include "client/command_line.h"
#include "client/exit_code.h"
#include "client/terminal/terminal.h"

namespace hmar {

ExitCode RunGenerate(const GenerateCommand& command, Client& client, Canceller& canceller,
                     Terminal& terminal);
ExitCode RunEdit(const EditCommand& command, Client& client, Canceller& canceller,
                 Terminal& terminal);
ExitCode RunModels(const ModelsCommand& command, Client& client, Canceller& canceller);
ExitCode RunHealth(const HealthCommand& command, Client& client, Canceller& canceller);
ExitCode RunSheet(const SheetCommand& command);
ExitCode RunKeyNew(const KeyNewCommand& command);
ExitCode RunWatch(const WatchCommand& command, Canceller& canceller, Terminal& terminal);

// Prints "hmar: <code>: <message>" to standard error, whatever the message holds but line feeds
// escaped.
void PrintError(const absl::Status& status);

// Prints a failed call's status and returns its exit code; a cancelled call is told and counted as
// interrupted.
ExitCode ReportCall(const absl::Status& status, const Canceller& canceller);

}  // namespace hmar

#endif  // HMAR_CLIENT_COMMANDS_H_
