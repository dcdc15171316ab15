#include "client/metrics_scrape.h"

#include <curl/curl.h>

#include <memory>
#include <optional>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "client/printable.h"
#include "model/status_macros.h"

namespace hmar {
namespace {

constexpr int kMostPort = 65'535;
constexpr int kPollMilliseconds = 50;

// What has come of an answer.
struct Received {
  std::string text;
  size_t header_bytes = 0;
};

// Both are libcurl's callbacks: taking less than all ends the transfer.
size_t TakeText(const char* data, size_t /*one*/, size_t bytes, void* received) {
  std::string& text = static_cast<Received*>(received)->text;
  if (text.size() + bytes > kMaxMetricsBytes) return 0;
  text.append(data, bytes);
  return bytes;
}

size_t TakeHeader(const char* /*data*/, size_t /*one*/, size_t bytes, void* received) {
  size_t& header_bytes = static_cast<Received*>(received)->header_bytes;
  header_bytes += bytes;
  return header_bytes > kMaxMetricsHeaderBytes ? 0 : bytes;
}

struct EasyDeleter {
  void operator()(CURL* easy) const { curl_easy_cleanup(easy); }
};
struct MultiDeleter {
  void operator()(CURLM* multi) const { curl_multi_cleanup(multi); }
};
using Easy = std::unique_ptr<CURL, EasyDeleter>;
using Multi = std::unique_ptr<CURLM, MultiDeleter>;

void SetOptions(CURL* easy, const MetricsAddress& address, absl::Duration timeout,
                Received& received) {
  curl_easy_setopt(easy, CURLOPT_URL, ShowAddress(address).c_str());
  curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http");
  curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));  // NOLINT
  curl_easy_setopt(easy, CURLOPT_PROXY, "");
  if (!address.user.empty()) {
    curl_easy_setopt(easy, CURLOPT_USERNAME, address.user.c_str());
    curl_easy_setopt(easy, CURLOPT_PASSWORD, address.password.c_str());
  }
  curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, absl::ToInt64Milliseconds(timeout));
  curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, TakeText);
  curl_easy_setopt(easy, CURLOPT_WRITEDATA, &received);
  curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, TakeHeader);
  curl_easy_setopt(easy, CURLOPT_HEADERDATA, &received);
}

// The transfer's end; nothing: given up.
std::optional<CURLcode> Transfer(CURLM* multi, const std::function<bool()>& gives_up) {
  for (int running = 1;;) {
    if (curl_multi_perform(multi, &running) != CURLM_OK) return CURLE_FAILED_INIT;
    if (running == 0) break;
    if (gives_up != nullptr && gives_up()) return std::nullopt;
    if (curl_multi_poll(multi, nullptr, 0, kPollMilliseconds, nullptr) != CURLM_OK) {
      return CURLE_FAILED_INIT;
    }
  }
  int left = 0;
  const CURLMsg* message = curl_multi_info_read(multi, &left);
  return message == nullptr ? CURLE_FAILED_INIT : message->data.result;
}

}  // namespace

std::string ShowAddress(const MetricsAddress& address) {
  const bool v6 = absl::StrContains(address.host, ':');
  return absl::StrCat("http://", v6 ? "[" : "", address.host, v6 ? "]" : "", ":", address.port,
                      address.path);
}

absl::StatusOr<MetricsAddress> ParseMetricsAddress(const std::string& text) {
  absl::string_view rest = text;
  absl::ConsumePrefix(&rest, "http://");
  const size_t slash = rest.find('/');
  MetricsAddress address;
  address.path = slash == absl::string_view::npos ? "/metrics" : std::string(rest.substr(slash));
  absl::string_view place = rest.substr(0, slash);
  if (const size_t at = place.rfind('@'); at != absl::string_view::npos) {
    const std::pair<absl::string_view, absl::string_view> who =
        absl::StrSplit(place.substr(0, at), absl::MaxSplits(':', 1));
    address.user = std::string(who.first);
    address.password = std::string(who.second);
    place.remove_prefix(at + 1);
  }
  const size_t colon = place.rfind(':');
  const bool whole = colon != absl::string_view::npos && colon > 0 &&
                     absl::SimpleAtoi(place.substr(colon + 1), &address.port) &&
                     address.port >= 1 && address.port <= kMostPort;
  if (!whole || absl::StrContains(place, "//")) {
    return absl::InvalidArgumentError(
        absl::StrCat("was '", Printable(text.substr(text.rfind('@') + 1)),
                     "', must be HOST:PORT or http://HOST:PORT/PATH, PORT 1 .. 65535"));
  }
  absl::string_view host = place.substr(0, colon);
  if (absl::ConsumePrefix(&host, "[")) absl::ConsumeSuffix(&host, "]");
  address.host = std::string(host);
  return address;
}

absl::StatusOr<std::vector<MetricSample>> Scrape(const MetricsAddress& address,
                                                 const ScrapeOptions& options) {
  static const CURLcode initialized = curl_global_init(CURL_GLOBAL_DEFAULT);
  const Multi multi(curl_multi_init());
  const Easy easy(curl_easy_init());
  if (initialized != CURLE_OK || multi == nullptr || easy == nullptr) {
    return absl::UnavailableError("libcurl does not start");
  }
  const std::string url = ShowAddress(address);
  Received received;
  SetOptions(easy.get(), address, options.timeout, received);
  curl_multi_add_handle(multi.get(), easy.get());
  const std::optional<CURLcode> end = Transfer(multi.get(), options.gives_up);
  long status = 0;  // NOLINT(google-runtime-int): libcurl's.
  curl_easy_getinfo(easy.get(), CURLINFO_RESPONSE_CODE, &status);
  curl_multi_remove_handle(multi.get(), easy.get());
  if (!end) return absl::CancelledError(absl::StrCat(url, ": given up"));
  if (*end != CURLE_OK) {
    return absl::UnavailableError(
        absl::StrCat(Printable(url), ": ", curl_easy_strerror(*end), " (the answer may take ",
                     absl::FormatDuration(options.timeout), ", ", kMaxMetricsBytes, " bytes and ",
                     kMaxMetricsHeaderBytes, " of headers)"));
  }
  if (status != 200) {
    return absl::UnavailableError(
        absl::StrCat(Printable(url), ": HTTP status ", status, ", must be 200"));
  }
  return ParseMetrics(received.text);
}

}  // namespace hmar
