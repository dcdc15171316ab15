#include "server/operations/metrics_server.h"

#include <microhttpd.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cstdint>
#include <exception>
#include <iterator>
#include <map>
#include <optional>
#include <string_view>
#include <utility>

#include "absl/algorithm/container.h"
#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "prometheus/collectable.h"
#include "prometheus/metric_family.h"
#include "prometheus/text_serializer.h"

namespace hmar {
namespace {

constexpr uint32_t kMaxPort = 65535;
constexpr unsigned kSilenceSeconds = 5;
constexpr size_t kConnectionBytes = 16 << 10;
// Connections that were told to go and have not gone yet count, too.
constexpr unsigned kHardMaxConnections = 2 * MetricsServer::kMaxConnections;

struct Address {
  std::string host;
  uint32_t port = 0;
};

absl::StatusOr<Address> ParseAddress(const std::string& text) {
  const size_t colon = text.rfind(':');
  Address address;
  if (colon != std::string::npos) address.host = text.substr(0, colon);
  const bool host_ok = !address.host.empty() && absl::c_all_of(address.host, [](unsigned char c) {
    return absl::ascii_isalnum(c) || c == '.' || c == '-';
  });
  if (!host_ok || !absl::SimpleAtoi(text.substr(colon + 1), &address.port) ||
      address.port > kMaxPort) {
    return absl::InvalidArgumentError(
        absl::StrCat("metrics address \"", text,
                     "\": want HOST:PORT with an IPv4 host and a port of 0 .. 65535, such as "
                     "0.0.0.0:9090"));
  }
  return address;
}

// Nothing: no such host.
std::optional<sockaddr_in> Resolve(const Address& address) {
  addrinfo hints = {};
  hints.ai_family = AF_INET;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (getaddrinfo(address.host.c_str(), nullptr, &hints, &found) != 0) return std::nullopt;
  sockaddr_in result = *reinterpret_cast<sockaddr_in*>(found->ai_addr);
  freeaddrinfo(found);
  result.sin_port = htons(static_cast<uint16_t>(address.port));
  return result;
}

// `allow` is the header of that name, where there is one.
MHD_Result Reply(MHD_Connection* connection, unsigned code, const std::string& body,
                 const char* type = "text/plain; charset=utf-8", const char* allow = nullptr) {
  MHD_Response* response = MHD_create_response_from_buffer(
      body.size(), const_cast<char*>(body.data()), MHD_RESPMEM_MUST_COPY);
  if (response == nullptr) return MHD_NO;
  MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
  if (allow != nullptr) MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, allow);
  const MHD_Result result = MHD_queue_response(connection, code, response);
  MHD_destroy_response(response);
  return result;
}

}  // namespace

// libmicrohttpd's side. Its callbacks all run on its one thread.
class MetricsServer::Daemon {
 public:
  Daemon(std::vector<std::shared_ptr<prometheus::Collectable>> metrics, BasicAuth* auth)
      : metrics_(std::move(metrics)), auth_(auth) {}

  ~Daemon() {
    if (daemon_ != nullptr) MHD_stop_daemon(daemon_);
  }

  Daemon(const Daemon&) = delete;
  Daemon& operator=(const Daemon&) = delete;

  // False: cannot listen there. Once.
  bool Listen(const sockaddr_in& address) {
    daemon_ = MHD_start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD, 0, nullptr, nullptr, Answer, this,  //
                               MHD_OPTION_SOCK_ADDR, &address,                                    //
                               MHD_OPTION_NOTIFY_CONNECTION, Notify, this,                        //
                               MHD_OPTION_CONNECTION_LIMIT, kHardMaxConnections,                  //
                               MHD_OPTION_CONNECTION_TIMEOUT, kSilenceSeconds,                    //
                               MHD_OPTION_CONNECTION_MEMORY_LIMIT, kConnectionBytes,              //
                               MHD_OPTION_END);
    return daemon_ != nullptr;
  }

  int port() const {
    const MHD_DaemonInfo* info = MHD_get_daemon_info(daemon_, MHD_DAEMON_INFO_BIND_PORT);
    return info == nullptr ? 0 : info->port;
  }

 private:
  static MHD_Result Answer(void* self, MHD_Connection* connection, const char* path,
                           const char* method, const char* /*version*/, const char* /*upload*/,
                           size_t* /*upload_bytes*/, void** /*request*/) {
    const std::string_view name = method;
    auto* const daemon = static_cast<Daemon*>(self);
    if (daemon->auth_ != nullptr) {
      const BasicAuth::Answer answer = daemon->MayRead(connection);
      if (answer == BasicAuth::Answer::kNo) return AskWho(connection);
      if (answer == BasicAuth::Answer::kTooMany) {
        return Reply(connection, MHD_HTTP_TOO_MANY_REQUESTS, "too many passwords; try again\n");
      }
    }
    if (std::string_view(path) != "/metrics") {
      return Reply(connection, MHD_HTTP_NOT_FOUND, "not found: metrics are at /metrics\n");
    }
    if (name != MHD_HTTP_METHOD_GET && name != MHD_HTTP_METHOD_HEAD) {
      return Reply(connection, MHD_HTTP_METHOD_NOT_ALLOWED, "metrics can be read, with GET\n",
                   "text/plain; charset=utf-8", "GET, HEAD");
    }
    try {  // Of prometheus-cpp and for memory; the caller is C.
      return Reply(connection, MHD_HTTP_OK, daemon->Text(),
                   "text/plain; version=0.0.4; charset=utf-8");
    } catch (const std::exception&) {
      return MHD_NO;  // Closes the connection.
    }
  }

  BasicAuth::Answer MayRead(MHD_Connection* connection) {
    char* password = nullptr;
    char* const user = MHD_basic_auth_get_username_password(connection, &password);
    BasicAuth::Answer answer = BasicAuth::Answer::kNo;
    try {  // For memory.
      if (user != nullptr && password != nullptr) answer = auth_->Check(user, password);
    } catch (const std::exception&) {
    }
    MHD_free(user);
    MHD_free(password);
    return answer;
  }

  static MHD_Result AskWho(MHD_Connection* connection) {
    static constexpr char kBody[] = "the metrics are for those who have a password\n";
    MHD_Response* response = MHD_create_response_from_buffer(
        sizeof(kBody) - 1, const_cast<char*>(kBody), MHD_RESPMEM_PERSISTENT);
    if (response == nullptr) return MHD_NO;
    const MHD_Result result = MHD_queue_basic_auth_fail_response(connection, "metrics", response);
    MHD_destroy_response(response);
    return result;
  }

  static void Notify(void* self, MHD_Connection* connection, void** number,
                     MHD_ConnectionNotificationCode what) {
    auto* daemon = static_cast<Daemon*>(self);
    if (what == MHD_CONNECTION_NOTIFY_STARTED) {
      const MHD_ConnectionInfo* info =
          MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
      // The library keeps one pointer for us, and it is a number.
      *number = reinterpret_cast<void*>(  // NOLINT(performance-no-int-to-ptr)
          daemon->Add(info->connect_fd));
    } else {
      daemon->open_.erase(reinterpret_cast<uintptr_t>(*number));
    }
  }

  // The number of a new connection. The oldest makes room for one too many: the loop reads its end.
  uintptr_t Add(int fd) {
    if (open_.size() == kMaxConnections) {
      shutdown(open_.begin()->second, SHUT_RDWR);
      open_.erase(open_.begin());
    }
    open_.emplace_hint(open_.end(), ++last_number_, fd);
    return last_number_;
  }

  std::string Text() const {
    std::vector<prometheus::MetricFamily> families;
    for (const std::shared_ptr<prometheus::Collectable>& part : metrics_) {
      std::vector<prometheus::MetricFamily> more = part->Collect();
      std::move(more.begin(), more.end(), std::back_inserter(families));
    }
    return prometheus::TextSerializer().Serialize(families);
  }

  const std::vector<std::shared_ptr<prometheus::Collectable>> metrics_;
  BasicAuth* const auth_;          // Null: anybody may read.
  std::map<uintptr_t, int> open_;  // Sockets by number, so in the order of their arrival.
  uintptr_t last_number_ = 0;
  MHD_Daemon* daemon_ = nullptr;
};

absl::StatusOr<std::unique_ptr<MetricsServer>> MetricsServer::Start(
    const std::string& address, std::vector<std::shared_ptr<prometheus::Collectable>> metrics,
    BasicAuth* auth) {
  const absl::StatusOr<Address> parsed = ParseAddress(address);
  if (!parsed.ok()) return parsed.status();
  const std::optional<sockaddr_in> resolved = Resolve(*parsed);
  auto daemon = std::make_unique<Daemon>(std::move(metrics), auth);
  if (!resolved.has_value() || !daemon->Listen(*resolved)) {
    return absl::UnavailableError(
        absl::StrCat("metrics address ", address,
                     ": cannot listen; the port is in use or reserved, or the address is not one "
                     "of this machine"));
  }
  const int port = daemon->port();
  return std::unique_ptr<MetricsServer>(new MetricsServer(std::move(daemon), port));
}

MetricsServer::MetricsServer(std::unique_ptr<Daemon> daemon, int port)
    : daemon_(std::move(daemon)), port_(port) {}

MetricsServer::~MetricsServer() = default;

}  // namespace hmar
