#include "server/operations/line_writer.h"

#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <deque>
#include <optional>
#include <string_view>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace hmar {
namespace {

constexpr size_t kLineOverheadBytes = 32;

size_t Size(const std::string& line) { return line.size() + kLineOverheadBytes; }

// False: the file does not take it. Waits as long as it takes.
bool WriteAll(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = write(fd, text.data(), text.size());
    if (written >= 0) {
      text.remove_prefix(static_cast<size_t>(written));
    } else if (errno == EAGAIN) {
      // Whoever shares the file has made it non-blocking.
      pollfd writable = {fd, POLLOUT, 0};
      poll(&writable, 1, -1);
    } else if (errno != EINTR) {
      return false;
    }
  }
  return true;
}

}  // namespace

struct LineWriter::Queue {
  Queue(int fd, size_t max_bytes, LostLine lost_line)
      : fd(fd), max_bytes(max_bytes), lost_line(std::move(lost_line)) {}

  const int fd;
  const size_t max_bytes;
  const LostLine lost_line;

  mutable absl::Mutex mutex;
  std::deque<std::string> lines ABSL_GUARDED_BY(mutex);
  size_t bytes ABSL_GUARDED_BY(mutex) = 0;
  uint64_t lost ABSL_GUARDED_BY(mutex) = 0;
  uint64_t lost_told ABSL_GUARDED_BY(mutex) = 0;
  bool closing ABSL_GUARDED_BY(mutex) = false;
  bool done ABSL_GUARDED_BY(mutex) = false;  // The thread is at its end.

  // Waits for one. Nothing: closing, and none is left. `untold`: losses to tell of before it.
  std::optional<std::string> Take(uint64_t* untold) {
    const auto has_work = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
      return closing || !lines.empty();
    };
    absl::MutexLock lock(&mutex, absl::Condition(&has_work));
    done = lines.empty();
    if (done) return std::nullopt;
    *untold = lost - lost_told;
    std::string line = std::move(lines.front());
    lines.pop_front();
    bytes -= Size(line);
    return line;
  }
};

LineWriter::LineWriter(int fd, size_t max_waiting_bytes, LostLine lost_line)
    : queue_(std::make_shared<Queue>(fd, max_waiting_bytes, std::move(lost_line))),
      thread_([queue = queue_] { Run(queue.get()); }) {}

LineWriter::~LineWriter() { Close(kLastFlush); }

void LineWriter::Run(Queue* queue) {
  uint64_t untold = 0;
  while (const std::optional<std::string> line = queue->Take(&untold)) {
    const bool told = untold > 0 && WriteAll(queue->fd, queue->lost_line(untold));
    const bool written = (untold == 0 || told) && WriteAll(queue->fd, *line);
    absl::MutexLock lock(&queue->mutex);
    if (told) queue->lost_told += untold;
    if (!written) ++queue->lost;
  }
}

void LineWriter::Write(std::string line) {
  absl::MutexLock lock(&queue_->mutex);
  if (queue_->closing) return;
  queue_->bytes += Size(line);
  queue_->lines.push_back(std::move(line));
  while (queue_->bytes > queue_->max_bytes) {
    queue_->bytes -= Size(queue_->lines.front());
    queue_->lines.pop_front();
    ++queue_->lost;
  }
}

void LineWriter::Close(absl::Duration limit) {
  if (!thread_.joinable()) return;
  bool done = false;
  {
    absl::MutexLock lock(&queue_->mutex);
    queue_->closing = true;
    done = queue_->mutex.AwaitWithTimeout(absl::Condition(&queue_->done), limit);
    if (!done) queue_->lines.clear();
  }
  if (done) {
    thread_.join();
  } else {
    thread_.detach();
  }
}

uint64_t LineWriter::lost() const {
  absl::MutexLock lock(&queue_->mutex);
  return queue_->lost;
}

}  // namespace hmar
