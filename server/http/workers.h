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

// A bounded number of threads that answer requests. Of these one peer has at most half, and those
// whose answers wait for images leave an eighth, so that the others' never wait for a picture.
// Requests beyond that wait in line, each until its peer and its kind have room. Thread-safe.
class Workers {
 public:
  // `make` is called once a thread, before it starts.
  Workers(const WorkersOptions& options, const std::function<std::unique_ptr<Answerer>()>& make);
  ~Workers() { Stop(); }

  // Ends the threads once they have answered what they are at; what is in line is dropped, and
  // whatever is posted later. Call from one thread.
  void Stop();

  void Post(std::unique_ptr<Connection> connection);

  // Requests in line whose answers wait for images, and how many of their kind run at most.
  size_t waiting() const;
  size_t most_generating() const { return most_generating_; }

 private:
  struct Worker {
    Workers* pool;
    std::unique_ptr<Answerer> answerer;
    pthread_t thread;
  };

  void Run(Answerer* answerer);
  bool MayRun(const Connection& connection) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool HasWork() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  std::unique_ptr<Connection> Take() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const size_t most_of_peer_;
  const size_t most_generating_;
  mutable absl::Mutex mutex_;
  std::deque<std::unique_ptr<Connection>> line_ ABSL_GUARDED_BY(mutex_);
  size_t waiting_ ABSL_GUARDED_BY(mutex_) = 0;
  size_t generating_ ABSL_GUARDED_BY(mutex_) = 0;
  std::map<std::string, size_t> by_peer_ ABSL_GUARDED_BY(mutex_);  // Workers; none is zero.
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<std::unique_ptr<Worker>> workers_;
};

}  // namespace hmar

#endif  // HMAR_SERVER_HTTP_WORKERS_H_
