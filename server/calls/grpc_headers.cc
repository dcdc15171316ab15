#include "server/calls/grpc_headers.h"

#include <grpc/support/time.h>

#include "absl/time/time.h"

namespace hmar {
namespace {

// Not call.deadline(): std::chrono's time ends in 2262, and beyond it the deadline would be any
// time, also one that has passed.
absl::Time DeadlineOf(const grpc::ServerContextBase& call) {
  const gpr_timespec deadline = gpr_convert_clock_type(call.raw_deadline(), GPR_CLOCK_REALTIME);
  if (deadline.tv_sec == gpr_inf_future(GPR_CLOCK_REALTIME).tv_sec) return absl::InfiniteFuture();
  return absl::FromUnixSeconds(deadline.tv_sec) + absl::Nanoseconds(deadline.tv_nsec);
}

}  // namespace

CallHeaders HeadersOf(const grpc::ServerContextBase& call) {
  CallHeaders headers;
  headers.peer = call.peer();
  headers.deadline = DeadlineOf(call);
  const auto& metadata = call.client_metadata();
  const auto [first, last] = metadata.equal_range("authorization");
  for (auto entry = first; entry != last; ++entry) {
    headers.authorization.emplace_back(entry->second.data(), entry->second.size());
  }
  const auto forwarded = metadata.find("x-forwarded-for");
  if (forwarded != metadata.end()) {
    headers.forwarded_for.assign(forwarded->second.data(), forwarded->second.size());
  }
  return headers;
}

}  // namespace hmar
