#include "server/keys/image_allowance.h"

#include <algorithm>
#include <utility>

namespace hmar {

ImageAllowance::ImageAllowance(std::optional<uint32_t> images_per_minute, const Clock* clock)
    : clock_(*clock),
      rate_(images_per_minute),
      left_(images_per_minute.value_or(0)),
      filled_at_(clock->Now()) {}

ImageAllowance::Ticket& ImageAllowance::Ticket::operator=(Ticket&& other) noexcept {
  if (this == &other) return *this;
  GiveBack();
  allowance_ = std::move(other.allowance_);
  images_ = other.images_;
  return *this;
}

void ImageAllowance::Ticket::GiveBack() {
  if (allowance_ != nullptr) std::exchange(allowance_, nullptr)->Return(images_);
}

std::optional<absl::Duration> ImageAllowance::Take(uint32_t images, Ticket* ticket) {
  {
    absl::MutexLock lock(&mutex_);
    if (!rate_.has_value()) return std::nullopt;
    Fill();
    if (left_ < images) return absl::Minutes(1) * ((images - left_) / *rate_);
    left_ -= images;
  }
  *ticket = Ticket(shared_from_this(), images);
  return std::nullopt;
}

std::optional<uint32_t> ImageAllowance::most() const {
  absl::MutexLock lock(&mutex_);
  return rate_;
}

void ImageAllowance::SetRate(std::optional<uint32_t> images_per_minute) {
  absl::MutexLock lock(&mutex_);
  Fill();
  if (!rate_.has_value()) left_ = images_per_minute.value_or(0);  // As a new one.
  rate_ = images_per_minute;
  left_ = std::min(left_, static_cast<double>(rate_.value_or(0)));
}

void ImageAllowance::Fill() {
  const absl::Time now = clock_.Now();
  const double rate = rate_.value_or(0);
  const double minutes = absl::FDivDuration(now - filled_at_, absl::Minutes(1));
  left_ = std::min(rate, left_ + rate * std::max(0.0, minutes));
  filled_at_ = now;
}

void ImageAllowance::Return(uint32_t images) {
  absl::MutexLock lock(&mutex_);
  left_ = std::min(left_ + images, static_cast<double>(rate_.value_or(0)));
}

}  // namespace hmar
