#include "server/calls/deliveries.h"

#include "absl/strings/str_cat.h"

namespace hmar {
namespace {

constexpr absl::Duration kTick = absl::Seconds(1);  // How late a late send may be noticed.

}  // namespace

Deliveries::Deliveries(const DeliveryOptions& options, const Clock* clock)
    : options_(options), clock_(clock), watcher_([this] { Watch(); }) {}

Deliveries::~Deliveries() {
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
  }
  watcher_.join();
}

void Deliveries::Account::Open(std::weak_ptr<Deliverer> owner) {
  absl::MutexLock lock(&deliveries_.mutex_);
  owner_ = std::move(owner);
}

void Deliveries::Account::Hold(size_t bytes) {
  absl::MutexLock lock(&deliveries_.mutex_);
  if (!closed_) deliveries_.SetBytes(this, bytes_ + bytes);
}

void Deliveries::Account::Release(size_t bytes) {
  absl::MutexLock lock(&deliveries_.mutex_);
  if (!closed_) deliveries_.SetBytes(this, bytes_ - bytes);
}

bool Deliveries::Account::HasRoom(size_t bytes) const {
  absl::MutexLock lock(&deliveries_.mutex_);
  return deliveries_.held_bytes_ + bytes <= deliveries_.options_.max_bytes;
}

void Deliveries::Account::BeginSend() {
  absl::MutexLock lock(&deliveries_.mutex_);
  if (closed_) return;
  deliveries_.SetDeadline(this, deliveries_.clock_->Now() + deliveries_.options_.max_send);
}

void Deliveries::Account::EndSend() {
  absl::MutexLock lock(&deliveries_.mutex_);
  deliveries_.SetDeadline(this, std::nullopt);
}

void Deliveries::Account::Close() {
  absl::MutexLock lock(&deliveries_.mutex_);
  deliveries_.SetBytes(this, 0);
  deliveries_.SetDeadline(this, std::nullopt);
  closed_ = true;
}

void Deliveries::Relieve() {
  {
    absl::MutexLock lock(&mutex_);
    if (std::exchange(relieving_, true)) return;  // That thread looks again after each.
  }
  std::string message;
  while (const std::optional<Victim> victim = NextToRelieve(&message)) {
    const auto& [account, owner] = *victim;
    if (owner->Relieve(message)) continue;
    absl::MutexLock lock(&mutex_);
    by_bytes_.erase({account->bytes_, account});
    account->spent_ = true;
  }
}

void Deliveries::StopLateSends() {
  const std::string message = absl::StrCat("the client has not taken a message within ",
                                           absl::FormatDuration(options_.max_send));
  while (const std::shared_ptr<Deliverer> late = NextLate()) late->Stop(message);
}

size_t Deliveries::held_bytes() const {
  absl::MutexLock lock(&mutex_);
  return held_bytes_;
}

void Deliveries::SetBytes(Account* account, size_t bytes) {
  by_bytes_.erase({account->bytes_, account});
  held_bytes_ += bytes - account->bytes_;  // Unsigned, and right when it shrinks, too.
  account->bytes_ = bytes;
  if (bytes > 0 && !account->spent_) by_bytes_.emplace(bytes, account);
}

void Deliveries::SetDeadline(Account* account, std::optional<absl::Time> deadline) {
  if (account->send_deadline_.has_value()) by_deadline_.erase({*account->send_deadline_, account});
  account->send_deadline_ = deadline;
  if (deadline.has_value()) by_deadline_.emplace(*deadline, account);
}

std::optional<Deliveries::Victim> Deliveries::NextToRelieve(std::string* message) {
  absl::MutexLock lock(&mutex_);
  while (held_bytes_ > options_.max_bytes && !by_bytes_.empty()) {
    const auto [bytes, account] = *by_bytes_.rbegin();
    if (std::shared_ptr<Deliverer> owner = account->owner_.lock()) {
      *message = absl::StrCat(held_bytes_, " bytes of pictures wait for clients to read them, ",
                              bytes, " of them for this one; the limit is ", options_.max_bytes);
      return Victim(account, std::move(owner));
    }
    by_bytes_.erase({bytes, account});  // It is being destroyed.
  }
  relieving_ = false;
  return std::nullopt;
}

std::shared_ptr<Deliverer> Deliveries::NextLate() {
  absl::MutexLock lock(&mutex_);
  while (!by_deadline_.empty() && by_deadline_.begin()->first <= clock_->Now()) {
    std::shared_ptr<Deliverer> owner = by_deadline_.begin()->second->owner_.lock();
    by_deadline_.erase(by_deadline_.begin());  // Once is enough.
    if (owner != nullptr) return owner;
  }
  return nullptr;
}

void Deliveries::Watch() {
  const auto stopping = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return stopping_; };
  while (true) {
    {
      absl::MutexLock lock(&mutex_);
      if (mutex_.AwaitWithTimeout(absl::Condition(&stopping), kTick)) return;
    }
    StopLateSends();
  }
}

}  // namespace hmar
