#ifndef HMAR_SERVER_HTTP_WORKERS_H_
#define HMAR_SERVER_HTTP_WORKERS_H_

#include <pthread.h>

#include <cstddef>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "server/http/connection.h"

namespace hmar {

// Answers requests: one at a time, on one worker's thread, waiting as it must.
class Answerer {
 public:
  virtual ~Answerer() = default;
  // Takes a connection whose request is there in full, or refused, and passes it on or closes it.
  virtual void Answer(std::unique_ptr<Connection> connection) = 0;
};

struct WorkersOptions {
  size_t threads = 256;
  size_t stack_bytes = size_t{1} << 20;  // Of each; what is not used takes no memory.
};

// A bounded number of threads that answer requests. Of these one client has at most half, and those
// whose answers wait for images leave an eighth, so that the others' never wait for a picture: of
// that part one client's have half, beyond its half of all.
// Requests beyond that wait in line, each until its client and its kind have room: twice as many of
// those that wait for images as there are threads, of which one client has half, and few of the
// others, which end soon. Thread-safe.
class Workers {
 public:
  // `make` is called once a thread, before it starts.
  Workers(const WorkersOptions& options, const std::function<std::unique_ptr<Answerer>()>& make);
  ~Workers() { Stop(); }

  // Ends the threads once they have answered what they are at; what is in line is dropped, and
  // whatever is posted later. Call from one thread.
  void Stop();

  void Post(std::unique_ptr<Connection> connection);

  // Whether the line has no room for another request of the client's that waits for images.
  bool IsFull(const std::string& client) const;

  size_t most_generating() const { return most_generating_; }

 private:
  using Counts = std::map<std::string, size_t>;  // By client; none is zero.
  struct Worker {
    Workers* pool;
    std::unique_ptr<Answerer> answerer;
    pthread_t thread;
  };

  void Run(Answerer* answerer);
  bool MayRun(const Connection& connection) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool HasWork() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  std::unique_ptr<Connection> Take() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const size_t most_of_client_;
  const size_t most_generating_;
  const size_t most_with_short_;  // Of a client, as long as the last are short.
  mutable absl::Mutex mutex_;
  std::deque<std::unique_ptr<Connection>> line_ ABSL_GUARDED_BY(mutex_);
  Counts waiting_ ABSL_GUARDED_BY(mutex_);  // In line, of those that wait for images.
  size_t all_waiting_ ABSL_GUARDED_BY(mutex_) = 0;
  size_t generating_ ABSL_GUARDED_BY(mutex_) = 0;
  Counts running_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<std::unique_ptr<Worker>> workers_;
};

}  // namespace hmar

#endif  // HMAR_SERVER_HTTP_WORKERS_H_
