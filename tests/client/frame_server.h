#ifndef HMAR_TESTS_CLIENT_FRAME_SERVER_H_
#define HMAR_TESTS_CLIENT_FRAME_SERVER_H_

// A server that speaks no gRPC, only the HTTP/2 that a test wrote down.

#include <cstdint>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace hmar {

// The one answer to the first call of a connection: a header block of HTTP status 200 and these
// fields, each a name and a value of up to 100 bytes; it ends the stream.
std::string TrailersOnly(const std::vector<std::pair<std::string, std::string>>& fields);

// Sends each connection its settings and, once the client has called, `frames`. On a free port of
// this host while it lives; a hundred connections at most, one at a time.
class FrameServer {
 public:
  explicit FrameServer(std::string frames);
  ~FrameServer();
  FrameServer(const FrameServer&) = delete;
  FrameServer& operator=(const FrameServer&) = delete;

  std::string address() const;  // HOST:PORT

 private:
  void Serve() const;

  const std::string frames_;
  int listener_;
  int port_ = 0;
  std::thread thread_;
};

}  // namespace hmar

#endif  // HMAR_TESTS_CLIENT_FRAME_SERVER_H_
