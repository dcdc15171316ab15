#ifndef HMAR_SERVER_OPERATIONS_RELOADER_H_
#define HMAR_SERVER_OPERATIONS_RELOADER_H_

#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"

namespace spdlog {
class logger;
}  // namespace spdlog

namespace hmar {

// Reads again what may change while the server runs: what SIGHUP asks for. Each part that can be
// read again is a hook; they run one after the other on a thread of their own, since files may be
// slow and a signal's thread must not wait. Thread-safe.
class Reloader {
 public:
  // Reads its part anew and puts it into force, wholly or not at all. Returns what it did, for the
  // log; an error names the file and the line, and leaves everything as it was.
  using Hook = std::function<absl::StatusOr<std::string>()>;

  // Starts the thread.
  explicit Reloader(std::shared_ptr<spdlog::logger> log);
  // Waits for a hook under way; what was asked for and has not begun is dropped.
  ~Reloader();

  // `name`, for the log, says what is read: "log level".
  void Add(std::string name, Hook hook);

  // Likewise; runs also once `file` is another than `seen`: its SignatureOf
  // (base/file_signature.h), taken before it was read last. Looks once a second.
  void Watch(std::string name, std::string file, std::string seen, Hook hook);

  // Runs all hooks soon, in the order they were added. Requests during a run are one more run.
  void Request();

 private:
  struct Part {
    std::string name;
    Hook hook;
    std::string file;  // "": not watched.
    std::string seen;  // Its signature.
  };

  void Work();
  // Of all, or of those whose files have changed; what has been read of them is noted first, so
  // that a change while a hook runs is one more.
  std::vector<Part> TakeParts(bool all);
  void Run(const Part& part);

  const std::shared_ptr<spdlog::logger> log_;
  absl::Mutex mutex_;
  std::vector<Part> parts_ ABSL_GUARDED_BY(mutex_);
  bool requested_ ABSL_GUARDED_BY(mutex_) = false;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace hmar

#endif  // HMAR_SERVER_OPERATIONS_RELOADER_H_
