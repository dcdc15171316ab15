#include "server/transport/grpc_limits.h"

#include <grpcpp/impl/server_builder_option.h>
#include <gtest/gtest.h>

#include <limits>
#include <map>
#include <memory>
#include <string>

namespace hmar {
namespace {

// Sees the arguments that a builder has collected when it builds. Its servers listen nowhere.
class SeeArguments final : public grpc::ServerBuilderOption {
 public:
  explicit SeeArguments(std::map<std::string, int>* seen) : seen_(*seen) {}

  void UpdateArguments(grpc::ChannelArguments* arguments) override {
    const grpc_channel_args all = arguments->c_channel_args();
    for (size_t i = 0; i < all.num_args; ++i) {
      if (all.args[i].type == GRPC_ARG_INTEGER) seen_[all.args[i].key] = all.args[i].value.integer;
    }
  }
  void UpdatePlugins(std::vector<std::unique_ptr<grpc::ServerBuilderPlugin>>*) override {}

 private:
  std::map<std::string, int>& seen_;
};

std::map<std::string, int> ArgumentsOf(const GrpcLimits& limits) {
  std::map<std::string, int> seen;
  grpc::ServerBuilder builder;
  SetGrpcLimits(limits, &builder);
  builder.SetOption(std::make_unique<SeeArguments>(&seen));
  builder.BuildAndStart();
  return seen;
}

GrpcLimits SomeLimits() {
  GrpcLimits limits;
  limits.max_message_bytes = 1 << 20;
  limits.max_concurrent_streams = 7;
  limits.memory_bytes = 1 << 26;
  limits.handshake = absl::Seconds(9);
  return limits;
}

TEST(GrpcLimitsTest, EveryLimitReachesGrpc) {
  GrpcLimits limits = SomeLimits();
  limits.keepalive = absl::Seconds(21);
  limits.keepalive_timeout = absl::Seconds(11);
  limits.min_ping_interval = absl::Seconds(12);
  limits.max_ping_strikes = 5;
  limits.connection_age = absl::Seconds(100);
  limits.connection_grace = absl::Seconds(13);
  const std::map<std::string, int> seen = ArgumentsOf(limits);
  EXPECT_EQ(seen.at(GRPC_ARG_MAX_CONCURRENT_STREAMS), 7);
  EXPECT_EQ(seen.at(GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS), 9000);
  EXPECT_EQ(seen.at(GRPC_ARG_KEEPALIVE_TIME_MS), 21'000);
  EXPECT_EQ(seen.at(GRPC_ARG_KEEPALIVE_TIMEOUT_MS), 11'000);
  EXPECT_EQ(seen.at(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS), 12'000);
  EXPECT_EQ(seen.at(GRPC_ARG_HTTP2_MAX_PING_STRIKES), 5);
  EXPECT_EQ(seen.at(GRPC_ARG_MAX_CONNECTION_AGE_MS), 100'000);
  EXPECT_EQ(seen.at(GRPC_ARG_MAX_CONNECTION_AGE_GRACE_MS), 13'000);
}

TEST(GrpcLimitsTest, UnlessToldOtherwiseConnectionsMayBeOfAnyAge) {
  const std::map<std::string, int> seen = ArgumentsOf(SomeLimits());
  EXPECT_EQ(seen.at(GRPC_ARG_MAX_CONNECTION_AGE_MS), std::numeric_limits<int>::max());
  EXPECT_EQ(seen.at(GRPC_ARG_MAX_CONNECTION_AGE_GRACE_MS), std::numeric_limits<int>::max());
}

}  // namespace
}  // namespace hmar
