#include "server/calls/deliveries.h"

#include "absl/strings/str_cat.h"

namespace hmar {
namespace {

constexpr absl::Duration kTick = absl::Seconds(1);  // How late a late send may be noticed.
constexpr absl::Duration kGuessedWait = absl::Milliseconds(100);  // Of an event for its client.

}  // namespace

Deliveries::Deliveries(const DeliveryOptions& options, const Clock* clock)
    : options_(options),
      clock_(clock),
      holding_(options.max_bytes, kGuessedWait),
      watcher_([this] { Watch(); }) {}

Deliveries::~Deliveries() {
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
  }
  watcher_.join();
}

void Deliveries::Account::Open(std::weak_ptr<Deliverer> owner, std::string principal) {
  absl::MutexLock lock(&deliveries_.mutex_);
  owner_ = std::move(owner);
  principal_ = std::move(principal);
}

void Deliveries::Account::Hold(Holding what, size_t bytes) {
  absl::MutexLock lock(&deliveries_.mutex_);
  if (!closed_) deliveries_.SetBytes(this, what, this->bytes(what) + bytes);
}

void Deliveries::Account::Release(Holding what, size_t bytes) {
  absl::MutexLock lock(&deliveries_.mutex_);
  if (!closed_) deliveries_.SetBytes(this, what, this->bytes(what) - bytes);
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
  for (const Holding what : {Holding::kPreviews, Holding::kRest}) {
    deliveries_.SetBytes(this, what, 0);
  }
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
    if (victim->previews) {
      victim->owner->DropPreviews();
    } else if (!victim->owner->Relieve(message)) {
      absl::MutexLock lock(&mutex_);
      Spend(victim->account);
    }
  }
}

void Deliveries::StopLateSends() {
  const std::string message = absl::StrCat("the client has not taken a message within ",
                                           absl::FormatDuration(options_.max_send));
  while (const std::shared_ptr<Deliverer> late = NextLate()) late->Stop(message);
}

std::optional<Shortage> Deliveries::ShortFor(const std::string& principal) const {
  absl::MutexLock lock(&mutex_);
  const HolderRanking<Account>& ranking = rankings_[static_cast<size_t>(Holding::kRest)];
  const size_t own = ranking.HeldBy(principal);
  const auto shortage = [this](bool of_principal, size_t held, size_t limit) {
    mutex_.AssertHeld();
    return Shortage{of_principal, held, limit, holding_.Until(held - limit + 1, held)};
  };
  if (own >= options_.principal_full_bytes) {
    return shortage(true, own, options_.principal_full_bytes);
  }
  const size_t all = held_bytes_ - preview_bytes_;
  const bool large = own > 0 && own >= options_.full_bytes / ranking.principals();
  if (all < options_.full_bytes || !large) return std::nullopt;
  return shortage(false, all, options_.full_bytes);
}

size_t Deliveries::held_bytes() const {
  absl::MutexLock lock(&mutex_);
  return held_bytes_;
}

void Deliveries::SetBytes(Account* account, Holding what, size_t bytes) {
  size_t& held = account->bytes(what);
  if (!account->spent_) RankingOf(what).Change(account->principal_, account, held, bytes);
  const size_t more = bytes - held;  // Unsigned, and right when it shrinks, too.
  holding_.Change(held_bytes_, held_bytes_ + more, clock_->Now());
  held_bytes_ += more;
  if (what == Holding::kPreviews) preview_bytes_ += more;
  held = bytes;
}

void Deliveries::Spend(Account* account) {
  if (std::exchange(account->spent_, true)) return;
  for (const Holding what : {Holding::kPreviews, Holding::kRest}) {
    RankingOf(what).Change(account->principal_, account, account->bytes(what), 0);
  }
}

void Deliveries::SetDeadline(Account* account, std::optional<absl::Time> deadline) {
  if (account->send_deadline_.has_value()) by_deadline_.erase({*account->send_deadline_, account});
  account->send_deadline_ = deadline;
  if (deadline.has_value()) by_deadline_.emplace(*deadline, account);
}

std::optional<Deliveries::Victim> Deliveries::NextToRelieve(std::string* message) {
  absl::MutexLock lock(&mutex_);
  while (held_bytes_ > options_.max_bytes) {
    Account* account = RankingOf(Holding::kPreviews).Most();
    const bool previews = account != nullptr;
    if (!previews) account = RankingOf(Holding::kRest).Most();
    if (account == nullptr) break;
    if (std::shared_ptr<Deliverer> owner = account->owner_.lock()) {
      *message = absl::StrCat(held_bytes_, " bytes of pictures wait for clients to read them, ",
                              account->bytes(Holding::kRest),
                              " of them for this call; the limit is ", options_.max_bytes);
      return Victim{account, std::move(owner), previews};
    }
    Spend(account);  // It is being destroyed.
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
