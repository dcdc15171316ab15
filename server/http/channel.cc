#include "server/http/channel.h"

#include <openssl/err.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <limits>
#include <utility>

namespace hmar {
namespace {

// The client learns of the end whoever else has a duplicate of the descriptor.
void ShutDownAll(const Descriptor& socket) { shutdown(socket.get(), SHUT_RDWR); }

class PlainChannel final : public Channel {
 public:
  explicit PlainChannel(Descriptor socket) : socket_(std::move(socket)) {}
  ~PlainChannel() override { ShutDownAll(socket_); }

  Io Handshake() override { return Io::kDone; }

  Io Read(char* data, size_t size, size_t* count) override {
    const ssize_t got = recv(socket_.get(), data, size, 0);
    if (got == 0) return Io::kClosed;
    if (got < 0) return WhyNot(Io::kWantRead);
    *count = static_cast<size_t>(got);
    return Io::kDone;
  }

  Io Write(absl::string_view bytes, size_t* count) override {
    const ssize_t sent = send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent < 0) return WhyNot(Io::kWantWrite);
    *count = static_cast<size_t>(sent);
    return Io::kDone;
  }

  bool has_pending() const override { return false; }
  void ShutDownWriting() override { shutdown(socket_.get(), SHUT_WR); }
  int fd() const override { return socket_.get(); }

 private:
  static Io WhyNot(Io wait) {
    return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR ? wait : Io::kFailed;
  }

  const Descriptor socket_;
};

class TlsChannel final : public Channel {
 public:
  using Session = std::unique_ptr<SSL, decltype(&SSL_free)>;

  TlsChannel(Descriptor socket, Session session)
      : socket_(std::move(socket)), session_(std::move(session)) {}
  ~TlsChannel() override { ShutDownAll(socket_); }

  Io Handshake() override {
    ERR_clear_error();
    const Io result = ResultOf(SSL_accept(session_.get()));
    established_ = result == Io::kDone;
    return result;
  }

  Io Read(char* data, size_t size, size_t* count) override {
    ERR_clear_error();
    return ResultOf(SSL_read_ex(session_.get(), data, size, count));
  }

  Io Write(absl::string_view bytes, size_t* count) override {
    ERR_clear_error();
    return ResultOf(SSL_write_ex(session_.get(), bytes.data(), bytes.size(), count));
  }

  bool has_pending() const override { return SSL_pending(session_.get()) > 0; }

  void ShutDownWriting() override {
    if (established_) SSL_shutdown(session_.get());
    ERR_clear_error();
    shutdown(socket_.get(), SHUT_WR);
  }

  int fd() const override { return socket_.get(); }

 private:
  Io ResultOf(int returned) {
    if (returned == 1) return Io::kDone;
    switch (SSL_get_error(session_.get(), returned)) {
      case SSL_ERROR_WANT_READ:
        return Io::kWantRead;
      case SSL_ERROR_WANT_WRITE:
        return Io::kWantWrite;
      case SSL_ERROR_ZERO_RETURN:
        return Io::kClosed;
      default:
        established_ = false;
        ERR_clear_error();  // Of this thread, which has other connections.
        return Io::kFailed;
    }
  }

  const Descriptor socket_;
  const Session session_;
  bool established_ = false;
};

}  // namespace

std::unique_ptr<Channel> MakePlainChannel(Descriptor socket) {
  return std::make_unique<PlainChannel>(std::move(socket));
}

std::unique_ptr<Channel> MakeTlsChannel(Descriptor socket, const TlsContext& context) {
  TlsChannel::Session session(SSL_new(context.get()), &SSL_free);
  if (session == nullptr || SSL_set_fd(session.get(), socket.get()) != 1) return nullptr;
  return std::make_unique<TlsChannel>(std::move(socket), std::move(session));
}

}  // namespace hmar
