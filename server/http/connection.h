#ifndef HMAR_SERVER_HTTP_CONNECTION_H_
#define HMAR_SERVER_HTTP_CONNECTION_H_

#include <cstddef>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "server/calls/doorkeeper.h"
#include "server/http/body_reader.h"
#include "server/http/body_share.h"
#include "server/http/channel.h"
#include "server/http/request_head.h"

namespace hmar {

// What becomes of a request at its head, before a byte of its body is read.
struct Ruling {
  std::optional<HttpFault> fault;  // It is answered with this,
  absl::Status status;             // or with this, where it is an error; its body is not read.
  size_t max_body_bytes = 0;
  bool generates = false;  // It asks for images.
  absl::Time arrived_at;   // The head; by the calls' clock.
  Visit visit;             // Of calls of the API.
  BodyShare share;         // Of what all bodies may hold; freed with the body.

  // Whose workers answer it (workers.h): the caller, where that is known, else the peer.
  std::string client;

  bool refused() const { return fault.has_value() || !status.ok(); }
  // Its answer comes at once, or only with images.
  bool waits() const { return generates && !refused(); }
};

struct Connection;

// Whoever rules on heads. Called on the receiver's thread, so it never waits.
class Judge {
 public:
  virtual ~Judge() = default;
  // On the head of `connection`.
  virtual Ruling Rule(const Connection& connection) = 0;
};

// One client's connection and the request that it is about. Owned by one thread at a time: the
// receiver's until a request is there in full, then a worker's until that is answered.
struct Connection {
  std::unique_ptr<Channel> channel;
  std::string peer;      // For limits: see PeerOf.
  std::string address;   // "ipv4:10.0.0.1:4711"
  std::string received;  // What came and is not part of `body`.
  int requests = 0;      // So far, with the one under way.

  RequestHead head;
  Ruling ruling;
  BodyReader body;
  bool body_unread = false;  // Nothing after this request can be told apart from its body.
};

// Fills peer and address from the socket.
std::unique_ptr<Connection> MakeConnection(std::unique_ptr<Channel> channel);

}  // namespace hmar

#endif  // HMAR_SERVER_HTTP_CONNECTION_H_
