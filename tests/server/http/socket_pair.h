#ifndef HMAR_TESTS_SERVER_HTTP_SOCKET_PAIR_H_
#define HMAR_TESTS_SERVER_HTTP_SOCKET_PAIR_H_

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/string_view.h"
#include "server/http/channel.h"
#include "server/transport/descriptors.h"

namespace hmar {

// A client's end of a connection; the other is the server's.
class ClientEnd {
 public:
  // Its reads and writes wait; the server's never do.
  static std::pair<std::unique_ptr<ClientEnd>, std::unique_ptr<Channel>> Connect() {
    int fds[2] = {-1, -1};
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds), 0);
    return {std::make_unique<ClientEnd>(Descriptor(fds[0])), MakePlainChannel(Descriptor(fds[1]))};
  }

  explicit ClientEnd(Descriptor socket) : socket_(std::move(socket)) {}

  void Send(absl::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t sent = send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent < 0 && errno != EAGAIN) return;  // The server has closed.
      if (sent < 0) Wait(POLLOUT);
      if (sent > 0) bytes.remove_prefix(static_cast<size_t>(sent));
    }
  }

  // What comes next; "" at the end of the connection.
  std::string Receive() {
    std::array<char, 4096> buffer;
    Wait(POLLIN);
    const ssize_t count = recv(socket_.get(), buffer.data(), buffer.size(), 0);
    return count > 0 ? std::string(buffer.data(), static_cast<size_t>(count)) : "";
  }

  bool AwaitEnd() { return Receive().empty(); }
  void Close() { socket_.Close(); }

 private:
  void Wait(int16_t events) {
    pollfd fd = {socket_.get(), events, 0};
    ASSERT_EQ(poll(&fd, 1, 60'000), 1);
  }

  Descriptor socket_;
};

}  // namespace hmar

#endif  // HMAR_TESTS_SERVER_HTTP_SOCKET_PAIR_H_
