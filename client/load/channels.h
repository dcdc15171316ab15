#ifndef HMAR_CLIENT_LOAD_CHANNELS_H_
#define HMAR_CLIENT_LOAD_CHANNELS_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "client/load/mix.h"
#include "grpcpp/grpcpp.h"

namespace hmar::load {

// More calls than this on one connection wait in gRPC where nobody sees them: a server allows about
// a hundred (--max-concurrent-streams).
inline constexpr uint32_t kCallsPerConnection = 64;

// The connections of each principal: one that is named has its own, with an address that a server
// behind a proxy would take for its client's. Thread-safe.
class Channels {
 public:
  // A place on a connection, for one call; given back with Release.
  struct Lease {
    std::shared_ptr<grpc::Channel> channel;
    size_t principal = 0;
    size_t connection = 0;
  };

  // `connections` of each principal.
  Channels(const std::string& server, const std::vector<Kind>& kinds, uint32_t connections,
           const std::shared_ptr<grpc::ChannelCredentials>& credentials =
               grpc::InsecureChannelCredentials());

  // Connects them all. UNAVAILABLE: not within `timeout`.
  absl::Status Connect(absl::Duration timeout);

  // On the kind's connection with the fewest calls.
  Lease Acquire(size_t kind);
  void Release(const Lease& lease);

  // The loopback address of the kind's principal; empty where it names none.
  const std::string& ForwardedFor(size_t kind) const {
    return principals_[principal_of_kind_[kind]].forwarded_for;
  }

 private:
  struct Connection {
    std::shared_ptr<grpc::Channel> channel;
    uint32_t calls = 0;
  };
  struct Principal {
    std::string forwarded_for;
    std::vector<Connection> connections;
  };

  const std::string server_;
  std::vector<size_t> principal_of_kind_;
  absl::Mutex mutex_;  // Of Connection.calls.
  std::vector<Principal> principals_;
};

}  // namespace hmar::load

#endif  // HMAR_CLIENT_LOAD_CHANNELS_H_
