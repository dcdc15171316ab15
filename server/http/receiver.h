#ifndef HMAR_SERVER_HTTP_RECEIVER_H_
#define HMAR_SERVER_HTTP_RECEIVER_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "server/base/clock.h"
#include "server/http/connection.h"
#include "server/transport/descriptors.h"

namespace hmar {

struct ReceiverOptions {
  // For a handshake, and for a request from its first byte to its last.
  absl::Duration receive = absl::Seconds(30);
  absl::Duration idle = absl::Seconds(60);   // With nothing to say.
  absl::Duration linger = absl::Seconds(5);  // For a client to take an answer that came early.
  // What all requests' heads may take beyond the first 4 KB of each.
  size_t head_bytes = size_t{16} << 20;
};

// Receives requests: every connection that is not being answered is here, on one thread that never
// waits for any of them. So slow clients, however many, take a descriptor, their own buffers and
// nobody's turn, and a worker only ever sees a request that is there in full.
//
// A request's head is bounded and read strictly (request_head.h); the judge rules on it; then its
// body comes, if it may, within what the ruling allows. Who is ruled out, who is wrong and who is
// late gets an answer like everybody else. Thread-safe.
class Receiver {
 public:
  // Takes a connection with a request in full, or with a ruling that refuses it. Called on the
  // receiver's thread; must not wait.
  using Deliver = std::function<void(std::unique_ptr<Connection>)>;

  // `clock` and `judge` outlive it; `clock` must never be set back. Starts its thread.
  Receiver(const ReceiverOptions& options, const Clock* clock, Judge* judge, Deliver deliver);
  // Closes the connections that are here.
  ~Receiver();

  // A new connection, before its handshake.
  void Add(std::unique_ptr<Connection> connection);
  // One whose request has been answered, for its next one.
  void Return(std::unique_ptr<Connection> connection);
  // One whose answer was its last: its client has a while to read it. (Closed with bytes unread, a
  // socket would be reset and the answer lost.)
  void Linger(std::unique_ptr<Connection> connection);

  // Connections that have had an answer and have no request under way are closed now, and from now
  // on.
  void CloseIdle();

  // Connections that are here now.
  size_t parked() const { return parked_count_.load(std::memory_order_relaxed); }

 private:
  enum class State { kHandshake, kIdle, kHead, kBody, kLingering };
  enum class Progress { kMore, kWait, kGone };
  struct Parked {
    std::unique_ptr<Connection> connection;
    State state = State::kIdle;
    absl::Time deadline;
    uint32_t events = 0;    // That epoll waits for.
    size_t looked_at = 0;   // Of received, for the head's end.
    size_t head_bytes = 0;  // Counted in head_bytes_.
  };
  using Table = std::map<int, Parked>;

  void Run();
  bool HandleEvents();
  void TakeIn();
  void Hand(std::unique_ptr<Connection> connection, State state);
  void Begin(std::unique_ptr<Connection> connection, State state);
  // Goes on with one connection as far as that goes; it may be gone afterwards.
  void Advance(Table::iterator at);
  Progress Step(Table::iterator at);
  Progress StepHandshake(Table::iterator at);
  Progress StepHead(Table::iterator at);
  Progress StepBody(Table::iterator at);
  Progress StepLingering(Table::iterator at);
  // Reads some bytes, behind those that have come.
  Progress ReadMore(Table::iterator at);
  Progress Wait(Table::iterator at, Io io);
  Progress BeginBody(Table::iterator at, size_t head_size);
  bool CountHead(Parked* parked);
  Progress Refuse(Table::iterator at, HttpFault fault);
  Progress RefuseFor(Table::iterator at, absl::Status status);
  Progress DeliverFrom(Table::iterator at);
  void SetState(Table::iterator at, State state, absl::Duration time);
  void EndLate();
  std::unique_ptr<Connection> Remove(Table::iterator at);

  const ReceiverOptions options_;
  const Clock& clock_;
  Judge& judge_;
  const Deliver deliver_;
  Descriptor epoll_;
  Descriptor wake_;
  // The thread's.
  Table table_;
  std::set<std::pair<absl::Time, int>> by_deadline_;
  size_t head_bytes_ = 0;
  int reads_left_ = 0;  // Of the connection that is being advanced, before others have their turn.

  std::atomic<size_t> parked_count_ = 0;
  absl::Mutex mutex_;
  std::vector<std::pair<std::unique_ptr<Connection>, State>> coming_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  bool closing_idle_ ABSL_GUARDED_BY(mutex_) = false;
  bool idle_is_closed_ = false;  // The thread's copy.
  std::thread thread_;
};

}  // namespace hmar

#endif  // HMAR_SERVER_HTTP_RECEIVER_H_
