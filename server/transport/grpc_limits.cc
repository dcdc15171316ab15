#include "server/transport/grpc_limits.h"

#include <grpc/compression.h>
#include <grpcpp/resource_quota.h>

namespace hmar {
namespace {

// A client's headers are a few hundred bytes; metadata of a proxy's or a tracer's may come on top.
constexpr int kMaxHeaderBytes = 8 << 10;

// A connection without calls leaves after this long; gRPC's clients come back by themselves.
constexpr absl::Duration kIdleConnection = absl::Minutes(5);

int Milliseconds(absl::Duration duration) {
  return static_cast<int>(absl::ToInt64Milliseconds(duration));
}

void RefuseCompressed(grpc::ServerBuilder* builder) {
  for (int algorithm = GRPC_COMPRESS_NONE + 1; algorithm < GRPC_COMPRESS_ALGORITHMS_COUNT;
       ++algorithm) {
    builder->SetCompressionAlgorithmSupportStatus(
        static_cast<grpc_compression_algorithm>(algorithm), false);
  }
  builder->AddChannelArgument(GRPC_ARG_ENABLE_PER_MESSAGE_DECOMPRESSION, 0);
}

}  // namespace

void SetGrpcLimits(const GrpcLimits& limits, grpc::ServerBuilder* builder) {
  builder->AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS,
                              static_cast<int>(limits.max_concurrent_streams));
  // A client that vanished without a word holds its images for at most 30 s.
  builder->AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, 20'000);
  builder->AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 10'000);
  builder->AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 10'000);
  builder->AddChannelArgument(GRPC_ARG_MAX_CONNECTION_IDLE_MS, Milliseconds(kIdleConnection));
  builder->AddChannelArgument(GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS, Milliseconds(limits.handshake));
  builder->AddChannelArgument(GRPC_ARG_MAX_METADATA_SIZE, kMaxHeaderBytes);
  builder->SetMaxReceiveMessageSize(static_cast<int>(limits.max_message_bytes));
  grpc::ResourceQuota quota("transport");
  quota.Resize(limits.memory_bytes);
  builder->SetResourceQuota(quota);
  RefuseCompressed(builder);
}

}  // namespace hmar
