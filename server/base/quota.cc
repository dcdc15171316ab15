#include "server/base/quota.h"

#include <utility>

namespace hmar {
namespace {

// How often the whole may come and go before what was measured counts half.
constexpr size_t kTurnovers = 8;

}  // namespace

Quota::Quota(const Limits& limits, const Clock* clock, absl::Duration guess)
    : limits_(limits), clock_(*clock), holding_(kTurnovers * limits.total + 1, guess) {}

std::optional<Shortage> Quota::Take(const std::string& principal, size_t amount, Ticket* ticket) {
  Ticket taken;  // What *ticket had goes back without the lock.
  {
    absl::MutexLock lock(&mutex_);
    if (std::optional<Shortage> shortage = Check(principal, amount)) return shortage;
    taken = Hold(principal, amount);
  }
  *ticket = std::move(taken);
  return std::nullopt;
}

Quota::Ticket Quota::TakeAnyway(const std::string& principal, size_t amount) {
  absl::MutexLock lock(&mutex_);
  return Hold(principal, amount);
}

std::optional<Shortage> Quota::ShortOf(const std::string& principal, size_t amount) const {
  absl::MutexLock lock(&mutex_);
  return Check(principal, amount);
}

size_t Quota::held() const {
  absl::MutexLock lock(&mutex_);
  return held_;
}

std::optional<Shortage> Quota::Check(const std::string& principal, size_t amount) const {
  const auto part = parts_.find(principal);
  const auto check = [&](size_t held, size_t limit, bool of_principal) -> std::optional<Shortage> {
    mutex_.AssertHeld();
    if (held <= limit && amount <= limit - held) return std::nullopt;
    return Shortage{of_principal, held, limit, holding_.Until(held + amount - limit, held)};
  };
  const auto all = check(held_, limits_.total, false);
  const auto own = check(part == parts_.end() ? 0 : part->second, most_of_one(), true);
  if (!all.has_value() || (own.has_value() && own->wait > all->wait)) return own;
  return all;
}

Quota::Ticket Quota::Hold(const std::string& principal, size_t amount) {
  if (amount == 0) return Ticket();
  const auto part = parts_.try_emplace(principal, 0).first;
  part->second += amount;
  Change(held_ + amount);
  return Ticket(this, part, amount);
}

void Quota::Return(Parts::iterator part, size_t amount) {
  absl::MutexLock lock(&mutex_);
  part->second -= amount;
  if (part->second == 0) parts_.erase(part);
  Change(held_ - amount);
}

void Quota::Change(size_t held) {
  holding_.Change(held_, held, clock_.Now());
  held_ = held;
}

Quota::Ticket::Ticket(Ticket&& other) noexcept
    : quota_(other.quota_), part_(other.part_), amount_(std::exchange(other.amount_, 0)) {}

Quota::Ticket& Quota::Ticket::operator=(Ticket&& other) noexcept {
  if (this == &other) return *this;
  ShrinkTo(0);
  quota_ = other.quota_;
  part_ = other.part_;
  amount_ = std::exchange(other.amount_, 0);
  return *this;
}

void Quota::Ticket::ShrinkTo(size_t amount) {
  if (amount >= amount_) return;
  quota_->Return(part_, amount_ - amount);
  amount_ = amount;
}

}  // namespace hmar
