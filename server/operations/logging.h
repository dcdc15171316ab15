#ifndef HMAR_SERVER_OPERATIONS_LOGGING_H_
#define HMAR_SERVER_OPERATIONS_LOGGING_H_

#include <memory>
#include <string>

namespace spdlog {
class logger;
namespace details {
class thread_pool;
}  // namespace details
}  // namespace spdlog

namespace hmar {

// The server's two logs and the one thread that writes them: callers never wait for a terminal or a
// pipe; when 8,192 lines wait, the oldest give way. The loggers must not be used after this is
// destroyed, which writes what waits.
class Logging {
 public:
  // `level` is --log-level's. The access log is null unless `access`.
  Logging(const std::string& level, bool access);
  ~Logging();

  // Writes what waits; later lines are lost. For an end that runs no destructors.
  void Close();

  // Events of the server, to standard error.
  const std::shared_ptr<spdlog::logger>& log() const { return log_; }
  // A line of JSON a request, to standard output.
  const std::shared_ptr<spdlog::logger>& access() const { return access_; }

  // Sends gRPC's own messages to the log at level debug: what of them matters to a user, the server
  // says itself. Process-wide; call once, before any use of gRPC.
  void TakeGrpcMessages();

 private:
  std::shared_ptr<spdlog::details::thread_pool> writer_;
  std::shared_ptr<spdlog::logger> log_;
  std::shared_ptr<spdlog::logger> access_;
};

}  // namespace hmar

#endif  // HMAR_SERVER_OPERATIONS_LOGGING_H_
