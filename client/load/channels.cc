#include "client/load/channels.h"

#include <algorithm>
#include <chrono>
#include <map>

#include "absl/strings/str_cat.h"
#include "client/client.h"

namespace hmar::load {
namespace {

// A loopback address of the name's own, the same in every run: so two runs side by side are as many
// principals as they name. FNV-1a of 32 bits, folded to 24.
std::string AddressOf(const std::string& principal) {
  uint32_t hash = 2166136261;
  for (const char c : principal) hash = (hash ^ static_cast<uint8_t>(c)) * 16777619;
  hash ^= hash >> 24;
  return absl::StrCat("127.", (hash >> 16) & 255, ".", (hash >> 8) & 255, ".", hash & 255);
}

// gRPC shares one connection between channels of equal arguments.
std::shared_ptr<grpc::Channel> MakeChannel(
    const std::string& server, const std::shared_ptr<grpc::ChannelCredentials>& credentials,
    int number) {
  grpc::ChannelArguments arguments = SafeChannelArguments();
  arguments.SetInt("hmar.load.connection", number);
  return grpc::CreateCustomChannel(server, credentials, arguments);
}

}  // namespace

Channels::Channels(const std::string& server, const std::vector<Kind>& kinds, uint32_t connections,
                   const std::shared_ptr<grpc::ChannelCredentials>& credentials)
    : server_(server) {
  std::map<std::string, size_t> known;
  int channels = 0;
  for (const Kind& kind : kinds) {
    const auto [place, is_new] = known.try_emplace(kind.principal, principals_.size());
    principal_of_kind_.push_back(place->second);
    if (!is_new) continue;
    Principal& principal = principals_.emplace_back();
    if (!kind.principal.empty()) principal.forwarded_for = AddressOf(kind.principal);
    for (uint32_t i = 0; i < connections; ++i) {
      principal.connections.push_back({MakeChannel(server, credentials, channels++)});
    }
  }
}

absl::Status Channels::Connect(absl::Duration timeout) {
  const auto deadline = std::chrono::system_clock::now() + absl::ToChronoMilliseconds(timeout);
  for (Principal& principal : principals_) {
    for (Connection& connection : principal.connections) {
      connection.channel->GetState(/*try_to_connect=*/true);  // Side by side.
    }
  }
  for (Principal& principal : principals_) {
    for (Connection& connection : principal.connections) {
      if (connection.channel->WaitForConnected(deadline)) continue;
      return absl::UnavailableError(
          absl::StrCat("no connection to ", server_, " within ", absl::FormatDuration(timeout)));
    }
  }
  return absl::OkStatus();
}

Channels::Lease Channels::Acquire(size_t kind) {
  const size_t principal = principal_of_kind_[kind];
  absl::MutexLock lock(&mutex_);
  std::vector<Connection>& connections = principals_[principal].connections;
  const auto least =
      std::min_element(connections.begin(), connections.end(),
                       [](const Connection& a, const Connection& b) { return a.calls < b.calls; });
  ++least->calls;
  return {least->channel, principal, static_cast<size_t>(least - connections.begin())};
}

void Channels::Release(const Lease& lease) {
  absl::MutexLock lock(&mutex_);
  --principals_[lease.principal].connections[lease.connection].calls;
}

}  // namespace hmar::load
