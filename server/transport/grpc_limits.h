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
};

// Sets these limits and refuses compressed requests, which gRPC inflates before it looks at their
// size: the answer is UNIMPLEMENTED, and nothing is inflated.
void SetGrpcLimits(const GrpcLimits& limits, grpc::ServerBuilder* builder);

}  // namespace hmar

#endif  // HMAR_SERVER_TRANSPORT_GRPC_LIMITS_H_
