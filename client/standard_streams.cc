#include "client/standard_streams.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/printable.h"
#include "grpc/support/log.h"

namespace hmar {
namespace {

void PrintGrpcMessage(gpr_log_func_args* message) {
  absl::FPrintF(stderr, "hmar: gRPC: %s\n", Printable(message->message));
}

}  // namespace

void PrepareStandardStreams() {
  signal(SIGPIPE, SIG_IGN);
  signal(SIGXFSZ, SIG_IGN);
  gpr_set_log_function(PrintGrpcMessage);
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (fcntl(fd, F_GETFD) != -1 || errno != EBADF) continue;
    // The lowest free number, so `fd`. Opened the wrong way round: each use stays an error.
    open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY);
  }
}

absl::Status FlushStandardOutput() {
  const bool failed_before = std::ferror(stdout) != 0;
  errno = 0;
  if (std::fflush(stdout) == 0 && !failed_before) return absl::OkStatus();
  const std::string reason =
      errno == 0 ? "an earlier write failed" : std::generic_category().message(errno);
  return absl::UnknownError(absl::StrCat("cannot write to standard output: ", reason));
}

}  // namespace hmar
