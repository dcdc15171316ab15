#include "tests/client/frame_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace hmar {
namespace {

constexpr uint8_t kHeaders = 1;
constexpr uint8_t kSettings = 4;
constexpr uint8_t kEndOfStreamAndHeaders = 1 | 4;
constexpr int kMaxConnections = 100;

std::string Frame(uint8_t type, uint8_t flags, uint8_t stream, absl::string_view payload) {
  const char head[] = {0,
                       static_cast<char>(payload.size() >> 8),
                       static_cast<char>(payload.size()),
                       static_cast<char>(type),
                       static_cast<char>(flags),
                       0,
                       0,
                       0,
                       static_cast<char>(stream)};
  return absl::StrCat(absl::string_view(head, sizeof(head)), payload);
}

// Waits for a call, whose path goes as it is; false if the client leaves before.
bool AwaitCall(int connection) {
  std::string words;
  char chunk[4096];
  while (words.find("/hmar.v1.") == std::string::npos) {
    const ssize_t size = recv(connection, chunk, sizeof(chunk), 0);
    if (size <= 0) return false;
    words.append(chunk, static_cast<size_t>(size));
  }
  return true;
}

}  // namespace

std::string TrailersOnly(const std::vector<std::pair<std::string, std::string>>& fields) {
  std::string block = "\x88";  // :status: 200
  for (const auto& [name, value] : fields) {
    // A literal that is to be kept in no table.
    absl::StrAppend(&block, "\x10", std::string(1, static_cast<char>(name.size())), name,
                    std::string(1, static_cast<char>(value.size())), value);
  }
  return Frame(kHeaders, kEndOfStreamAndHeaders, 1, block);
}

FrameServer::FrameServer(std::string frames)
    : frames_(std::move(frames)), listener_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  bind(listener_, reinterpret_cast<sockaddr*>(&address), size);
  listen(listener_, kMaxConnections);
  getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size);
  port_ = ntohs(address.sin_port);
  thread_ = std::thread([this] { Serve(); });
}

FrameServer::~FrameServer() {
  shutdown(listener_, SHUT_RDWR);  // Wakes accept.
  thread_.join();
  close(listener_);
}

std::string FrameServer::address() const { return absl::StrCat("127.0.0.1:", port_); }

void FrameServer::Serve() const {
  for (int i = 0; i < kMaxConnections; ++i) {
    const int connection = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (connection < 0) return;
    const std::string settings = Frame(kSettings, 0, 0, "");
    send(connection, settings.data(), settings.size(), MSG_NOSIGNAL);
    if (AwaitCall(connection)) send(connection, frames_.data(), frames_.size(), MSG_NOSIGNAL);
    char words[4096];
    while (recv(connection, words, sizeof(words), 0) > 0) {
    }
    close(connection);
  }
}

}  // namespace hmar
