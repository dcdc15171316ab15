#include "server/ports.h"

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/transport/listening_sockets.h"

namespace hmar {

absl::Status CheckPorts(const ServerOptions& options) {
  std::vector<ListeningSockets> held;
  for (const auto& [flag, address] :
       {std::pair("--listen", options.listen), std::pair("--http", options.http),
        std::pair("--metrics", options.metrics)}) {
    if (address.empty()) continue;
    absl::StatusOr<ListeningSockets> sockets = ListenOn(address);
    if (!sockets.ok()) return CannotListen(flag, address, sockets.status());
    held.push_back(*std::move(sockets));
  }
  return absl::OkStatus();
}

absl::Status CannotListen(const std::string& flag, const std::string& address,
                          const absl::Status& why) {
  return absl::Status(why.code(), absl::StrCat(flag, ": cannot listen on ", address, ": ",
                                               std::string(why.message())));
}

}  // namespace hmar
