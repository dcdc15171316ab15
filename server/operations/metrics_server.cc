#include "server/operations/metrics_server.h"

#include <cstdint>
#include <exception>
#include <utility>

#include "absl/algorithm/container.h"
#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "prometheus/exposer.h"

namespace hmar {
namespace {

constexpr uint32_t kMaxPort = 65535;

// civetweb would take a list of addresses with flags ("80,443s"); we take one address.
absl::Status CheckAddress(const std::string& address) {
  const size_t colon = address.rfind(':');
  const std::string host = colon == std::string::npos ? "" : address.substr(0, colon);
  uint32_t port = 0;
  const bool host_ok = !host.empty() && absl::c_all_of(host, [](unsigned char c) {
    return absl::ascii_isalnum(c) || c == '.' || c == '-';
  });
  if (!host_ok || !absl::SimpleAtoi(address.substr(colon + 1), &port) || port > kMaxPort) {
    return absl::InvalidArgumentError(
        absl::StrCat("metrics address \"", address,
                     "\": want HOST:PORT with an IPv4 host and a port of 0 .. 65535, such as "
                     "0.0.0.0:9090"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<MetricsServer>> MetricsServer::Start(
    const std::string& address, const std::shared_ptr<prometheus::Collectable>& metrics) {
  if (absl::Status status = CheckAddress(address); !status.ok()) return status;
  try {
    auto exposer = std::make_unique<prometheus::Exposer>(address);
    exposer->RegisterCollectable(metrics);
    const int port = exposer->GetListeningPorts().front();
    return std::unique_ptr<MetricsServer>(new MetricsServer(std::move(exposer), port));
  } catch (const std::exception&) {
    // What it says ("null context ...") does not tell a user anything.
    return absl::UnavailableError(
        absl::StrCat("metrics address ", address,
                     ": cannot listen; the port is in use or reserved, or the address is not one "
                     "of this machine"));
  }
}

MetricsServer::MetricsServer(std::unique_ptr<prometheus::Exposer> exposer, int port)
    : exposer_(std::move(exposer)), port_(port) {}

MetricsServer::~MetricsServer() = default;

}  // namespace hmar
