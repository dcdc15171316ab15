#ifndef HMAR_SERVER_TRANSPORT_GRPC_LIMITS_H_
#define HMAR_SERVER_TRANSPORT_GRPC_LIMITS_H_

#include <grpcpp/server_builder.h>

#include <cstdint>

#include "absl/time/time.h"

namespace hmar {

// What clients may ask of gRPC itself, before a request is one.
struct GrpcLimits {
  uint32_t max_message_bytes = 0;
  uint32_t max_concurrent_streams = 0;  // Of one connection.
  uint32_t memory_bytes = 0;  // Of messages and calls on their way in, over all connections.
  absl::Duration handshake;   // From accept to the client's SETTINGS.
  // A client that vanished without a word is found out after `keepalive` of silence, and
  // `keepalive_timeout` without an answer to a ping: its calls end.
  absl::Duration keepalive = absl::Seconds(20);
  absl::Duration keepalive_timeout = absl::Seconds(10);
  // A client's pings in a shorter interval, with nothing sent to it in between, are strikes; more
  // than so many, and the connection ends with GOAWAY ENHANCE_YOUR_CALM. No strikes: any number.
  absl::Duration min_ping_interval = absl::Seconds(10);
  uint32_t max_ping_strikes = 2;
  // Give or take a tenth, so that connections of one time do not all end at one. Then GOAWAY, and
  // what still runs has `connection_grace`.
  absl::Duration connection_age = absl::InfiniteDuration();
  absl::Duration connection_grace = absl::InfiniteDuration();
};

// Sets these limits and refuses compressed requests, which gRPC inflates before it looks at their
// size: the answer is UNIMPLEMENTED, and nothing is inflated.
void SetGrpcLimits(const GrpcLimits& limits, grpc::ServerBuilder* builder);

}  // namespace hmar

#endif  // HMAR_SERVER_TRANSPORT_GRPC_LIMITS_H_
