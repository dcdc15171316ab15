#include "client/load/metrics_scrape.h"

#include <httplib.h>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "client/printable.h"
#include "model/status_macros.h"

namespace hmar::load {
namespace {

constexpr int kSeconds = 10;
constexpr int kMostPort = 65'535;

std::string Show(const MetricsAddress& address) {
  return absl::StrCat("http://", address.host, ":", address.port, address.path);
}

}  // namespace

absl::StatusOr<MetricsAddress> ParseMetricsAddress(const std::string& text) {
  absl::string_view rest = text;
  absl::ConsumePrefix(&rest, "http://");
  const size_t slash = rest.find('/');
  MetricsAddress address;
  address.path = slash == absl::string_view::npos ? "/metrics" : std::string(rest.substr(slash));
  const absl::string_view place = rest.substr(0, slash);
  const size_t colon = place.rfind(':');
  const bool whole = colon != absl::string_view::npos && colon > 0 &&
                     absl::SimpleAtoi(place.substr(colon + 1), &address.port) &&
                     address.port >= 1 && address.port <= kMostPort;
  if (!whole || absl::StrContains(place, "//")) {
    return absl::InvalidArgumentError(
        absl::StrCat("was '", Printable(text),
                     "', must be HOST:PORT or http://HOST:PORT/PATH, PORT 1 .. 65535"));
  }
  absl::string_view host = place.substr(0, colon);
  if (absl::ConsumePrefix(&host, "[")) absl::ConsumeSuffix(&host, "]");
  address.host = std::string(host);
  return address;
}

absl::StatusOr<std::vector<MetricSample>> Scrape(const MetricsAddress& address) {
  httplib::Client client(address.host, address.port);
  client.set_connection_timeout(kSeconds);
  client.set_read_timeout(kSeconds);
  client.set_write_timeout(kSeconds);
  client.set_decompress(false);
  std::string text;
  const httplib::Result answer = client.Get(address.path, [&text](const char* data, size_t length) {
    if (text.size() + length > kMaxMetricsBytes) return false;
    text.append(data, length);
    return true;
  });
  if (!answer) {
    return absl::UnavailableError(
        absl::StrCat(Show(address), ": ", httplib::to_string(answer.error()),
                     " (the answer may take ", kSeconds, " s and ", kMaxMetricsBytes, " bytes)"));
  }
  if (answer->status != 200) {
    return absl::UnavailableError(
        absl::StrCat(Show(address), ": HTTP status ", answer->status, ", must be 200"));
  }
  return ParseMetrics(text);
}

}  // namespace hmar::load
