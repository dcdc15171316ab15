#ifndef HMAR_SERVER_TRANSPORT_LISTENER_H_
#define HMAR_SERVER_TRANSPORT_LISTENER_H_

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/operations/metrics.h"
#include "server/transport/connection_table.h"
#include "server/transport/descriptors.h"
#include "server/transport/listening_sockets.h"

namespace spdlog {
class logger;
}  // namespace spdlog

namespace hmar {

// Accepts connections on a thread of its own, because gRPC 1.51 stops accepting for good once a
// process has run out of descriptors. A connection beyond the limits is closed at once, with a RST,
// so that its client knows; when others close, new ones are taken again.
//
// Who takes a connection over owns its descriptor and never says when it closes it. So the listener
// keeps a duplicate, and an epoll of its own on that: EPOLLHUP comes once both directions are shut
// down or the connection is reset, whoever did it. gRPC shuts a socket down before it closes it
// (fd_orphan), so a duplicate neither keeps a connection open nor misses an end. Until the
// duplicate is closed, gRPC's own epoll may report an event of a connection that it has let go;
// it keeps the objects behind such events for that reason, and takes them as spurious.
class Listener {
 public:
  // Takes over the descriptor of a connection: non-blocking, connected. On the listener's thread.
  using Handler = std::function<void(int fd)>;

  // Listens (see ListenOn); connections queue in the kernel until Start. `metrics` outlives it.
  static absl::StatusOr<std::unique_ptr<Listener>> Open(const std::string& address,
                                                        ConnectionLimits limits, Metrics* metrics,
                                                        std::shared_ptr<spdlog::logger> log);

  // Closes the port. Connections stay with who took them.
  ~Listener();

  int port() const { return ports_.front().port; }
  bool loopback_only() const { return ports_.front().loopback_only; }

  // Listens on another address, too, whose connections go to a handler of their own: the limits are
  // on those of all ports together. Call before Start.
  struct Port {
    int port = 0;
    bool loopback_only = true;
  };
  absl::StatusOr<Port> AddPort(const std::string& address, Handler handler);

  // Call once. The handlers are called until the destructor returns, no longer.
  void Start(Handler handler);

 private:
  Listener(ListeningSockets sockets, ConnectionLimits limits, Metrics* metrics,
           std::shared_ptr<spdlog::logger> log);
  absl::Status Watch();
  absl::Status WatchPort(const ListeningSockets& port);
  void Run();
  // Handles what epoll reports; false: stop.
  bool HandleEvents();
  int WaitMilliseconds() const;  // For the next event; -1: as long as it takes.
  // The place of the port that the descriptor listens on; nothing if it does not.
  std::optional<size_t> PortOf(int fd) const;
  void AcceptFrom(int listening, const Handler& handler);
  void Admit(Descriptor connection, const std::string& peer, const Handler& handler);
  void Refuse(Descriptor connection, const std::string& peer, ConnectionRefusal why);
  void Forget(int duplicate);
  void RefuseOneWithoutDescriptors(int listening);
  void SetAccepting(bool accepting);

  std::vector<ListeningSockets> ports_;
  std::vector<Handler> handlers_;  // By port.
  ConnectionTable table_;
  Metrics* const metrics_;
  const std::shared_ptr<spdlog::logger> log_;
  Descriptor epoll_;
  Descriptor wake_;   // An eventfd; readable: stop.
  Descriptor spare_;  // Given up for a moment to refuse a connection when there is no other.
  std::unordered_map<int, std::string> peers_;  // By our duplicate.
  bool accepting_ = true;
  bool untidy_ = false;  // Connections have closed since memory was last given back.
  absl::Time last_warning_ = absl::InfinitePast();
  std::thread thread_;
};

}  // namespace hmar

#endif  // HMAR_SERVER_TRANSPORT_LISTENER_H_
