#ifndef HMAR_SERVER_OPERATIONS_LINE_WRITER_H_
#define HMAR_SERVER_OPERATIONS_LINE_WRITER_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "absl/time/time.h"

namespace hmar {

// Lines on their way to a file, terminal or pipe: a bounded queue and the thread that empties it.
// Nobody who writes a line waits for who reads it, and neither does the end of the process.
// Thread-safe.
class LineWriter {
 public:
  // The line, with its end, that says how many are missing where it stands.
  using LostLine = std::function<std::string(uint64_t lost)>;

  // Writes to `fd`, which must stay open as long as the process lives. Lines beyond
  // `max_waiting_bytes`, each counted with 32 bytes on top, push out the oldest.
  LineWriter(int fd, size_t max_waiting_bytes, LostLine lost_line);

  // As Close with kLastFlush.
  ~LineWriter();

  LineWriter(const LineWriter&) = delete;
  LineWriter& operator=(const LineWriter&) = delete;

  // Queues a line, which has its end already.
  void Write(std::string line);

  // Writes what waits, for at most `limit`; the rest is lost, and so are later lines. The thread of
  // a write that hangs is left to the end of the process.
  void Close(absl::Duration limit);

  // Lines pushed out of the queue or refused by the file so far.
  uint64_t lost() const;

  static constexpr absl::Duration kLastFlush = absl::Seconds(1);

 private:
  struct Queue;
  static void Run(Queue* queue);

  const std::shared_ptr<Queue> queue_;  // The thread has a share: it may outlive this.
  std::thread thread_;
};

}  // namespace hmar

#endif  // HMAR_SERVER_OPERATIONS_LINE_WRITER_H_
