#ifndef HMAR_CLIENT_EXIT_CODE_H_
#define HMAR_CLIENT_EXIT_CODE_H_

#include "absl/status/status.h"

namespace hmar {

// What `hmar` returns to the shell. Scripts rely on the numbers; `hmar --help` and the README list
// them.
enum ExitCode : int {
  kExitOk = 0,
  kExitCallFailed = 1,  // The server refused the request, failed, or sent what is no answer to it.
  kExitUsage =
      2,  // A bad command line, or a file named on it that cannot be used. Nothing was sent.
  kExitUnavailable = 3,  // No server, or one that is not ready or going away: try again later.
  kExitOutput = 4,       // A result could not be written, to a file or to standard output.
  kExitInterrupted =
      130  // Ctrl-C or SIGTERM; the call was cancelled. (128 + SIGINT, as shells have it.)
};

// Of a call's status.
inline ExitCode ExitCodeOfCall(const absl::Status& status) {
  if (status.ok()) return kExitOk;
  return absl::IsUnavailable(status) ? kExitUnavailable : kExitCallFailed;
}

}  // namespace hmar

#endif  // HMAR_CLIENT_EXIT_CODE_H_
