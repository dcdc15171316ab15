#ifndef HMAR_SERVER_OPERATIONS_LOGGING_H_
#define HMAR_SERVER_OPERATIONS_LOGGING_H_

#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "prometheus/collectable.h"

namespace spdlog {
class logger;
}  // namespace spdlog

namespace hmar {

class LineWriter;

// Opens /dev/null for each of standard input, output and error that the process came without: the
// next file or connection would be taken for it, and get its lines. Call first of all, even
// before static initialization: it uses nothing but system calls.
void OpenMissingStandardFiles();

// The server's two logs. Callers never wait for a terminal or a pipe, and neither does the end of
// the process (see LineWriter): each log holds 4 MiB of lines for a slow reader, then the oldest
// give way, which a later line and a metric tell.
class Logging {
 public:
  // `level` is --log-level's. The access log is null unless `access`.
  Logging(const std::string& level, bool access);
  // As Close.
  ~Logging();

  // Writes what waits, for about a second; later lines are lost. Also for an end that runs no
  // destructors.
  void Close();

  // Events of the server, to standard error.
  const std::shared_ptr<spdlog::logger>& log() const { return log_; }
  // A line of JSON a request, to standard output.
  const std::shared_ptr<spdlog::logger>& access() const { return access_; }
  // hmar_log_lines_lost_total. Lives as long as anybody holds it.
  const std::shared_ptr<prometheus::Collectable>& metrics() const { return metrics_; }

  // Sends gRPC's own messages to the log at level debug: what of them matters to a user, the server
  // says itself. Process-wide; call once, before any use of gRPC.
  void TakeGrpcMessages();

  // From --log-level to debug and back; if it is debug or trace, to info and back. The log says so.
  // Thread-safe.
  void SwitchLevel();

  // From now on this is --log-level, whatever SwitchLevel did. The log says so. REQUIRES: it is
  // one. Thread-safe.
  void SetLevel(const std::string& level);

 private:
  const std::shared_ptr<LineWriter> log_writer_;
  const std::shared_ptr<LineWriter> access_writer_;  // Null without an access log.
  const std::shared_ptr<spdlog::logger> log_;
  std::shared_ptr<spdlog::logger> access_;
  const std::shared_ptr<prometheus::Collectable> metrics_;
  void Change(int level) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  absl::Mutex mutex_;
  int level_ ABSL_GUARDED_BY(mutex_);  // --log-level's, as spdlog numbers them.
  bool switched_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace hmar

#endif  // HMAR_SERVER_OPERATIONS_LOGGING_H_
