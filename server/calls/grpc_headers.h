#ifndef HMAR_SERVER_CALLS_GRPC_HEADERS_H_
#define HMAR_SERVER_CALLS_GRPC_HEADERS_H_

#include <grpcpp/server_context.h>

#include "server/calls/caller.h"

namespace hmar {

// Of a gRPC call whose headers are there.
CallHeaders HeadersOf(const grpc::ServerContextBase& call);

}  // namespace hmar

#endif  // HMAR_SERVER_CALLS_GRPC_HEADERS_H_
