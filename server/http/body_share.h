#ifndef HMAR_SERVER_HTTP_BODY_SHARE_H_
#define HMAR_SERVER_HTTP_BODY_SHARE_H_

#include <algorithm>
#include <cstddef>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "server/base/quota.h"

namespace hmar {

// One body's part of what all bodies may hold: it grows with a body whose length is not known
// beforehand. Given back by its destructor. Thread-compatible.
class BodyShare {
 public:
  BodyShare() = default;  // May hold nothing.
  // `quota` outlives the share.
  BodyShare(Quota* quota, std::string principal)
      : quota_(quota), principal_(std::move(principal)) {}

  // Takes as much as is missing to `bytes`, in steps; what was short if there is no room.
  // REQUIRES: bytes is 0 or there is a quota.
  std::optional<Shortage> CoverTo(size_t bytes) {
    if (bytes <= held_) return std::nullopt;
    const size_t missing = bytes - held_;
    for (const size_t amount : {std::max(missing, std::max(kStep, held_ / 2)), missing}) {
      Quota::Ticket ticket;
      std::optional<Shortage> shortage = quota_->Take(principal_, amount, &ticket);
      if (shortage.has_value() && amount == missing) return shortage;
      if (shortage.has_value()) continue;
      tickets_.push_back(std::move(ticket));
      held_ += amount;
      break;
    }
    return std::nullopt;
  }

  // Takes all of what a body of a known length needs.
  std::optional<Shortage> CoverExactly(size_t bytes) {
    Quota::Ticket ticket;
    if (auto shortage = quota_->Take(principal_, bytes, &ticket)) return shortage;
    tickets_.push_back(std::move(ticket));
    held_ += bytes;
    return std::nullopt;
  }

 private:
  static constexpr size_t kStep = size_t{16} << 10;

  Quota* quota_ = nullptr;
  std::string principal_;
  size_t held_ = 0;
  std::vector<Quota::Ticket> tickets_;
};

}  // namespace hmar

#endif  // HMAR_SERVER_HTTP_BODY_SHARE_H_
