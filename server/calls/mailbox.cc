#include "server/calls/mailbox.h"

#include <utility>

namespace hmar {
namespace {

Deliveries::Holding HoldingOf(const v1::GenerateResponse& event) {
  return event.has_preview() ? Deliveries::Holding::kPreviews : Deliveries::Holding::kRest;
}

}  // namespace

void Mailbox::Open(v1::GenerateResponse accepted) {
  absl::MutexLock lock(&mutex_);
  if (closed_) return;
  const size_t bytes = accepted.ByteSizeLong();
  Hold(accepted, bytes);
  entries_.push_front({std::move(accepted), bytes});
  open_ = true;
}

uint32_t Mailbox::PutPreview(v1::GenerateResponse preview, uint32_t skipped) {
  absl::MutexLock lock(&mutex_);
  if (closed_) return 0;
  const uint32_t image = preview.preview().image_index();
  const size_t bytes = preview.ByteSizeLong();
  uint32_t dropped_now = 0;
  if (held_bytes_ + bytes > options_.preview_bytes || !AllHaveRoom(bytes)) {
    dropped_now = DropPreviewsOf(image);
  }
  const bool fits = Fits(bytes) && AllHaveRoom(bytes);
  uint32_t& dropped = dropped_[image];
  dropped += skipped;
  if (!fits) {
    ++dropped_now;
    ++dropped;
  } else {
    preview.mutable_preview()->set_dropped(dropped);
    Append(std::move(preview), bytes);
  }
  return dropped_now;
}

bool Mailbox::PutFinal(v1::GenerateResponse event, uint32_t* dropped) {
  {
    absl::MutexLock lock(&mutex_);
    if (closed_) return true;
    const size_t bytes = event.ByteSizeLong();
    const uint32_t previews = MakeRoom(bytes);
    if (dropped != nullptr) *dropped += previews;
    if (Fits(bytes)) {
      Append(std::move(event), bytes);
      return true;
    }
  }
  Close();
  return false;
}

std::optional<v1::GenerateResponse> Mailbox::Take() {
  absl::MutexLock lock(&mutex_);
  if (!open_ || entries_.empty()) return std::nullopt;
  Entry entry = std::move(entries_.front());
  entries_.pop_front();
  LetGoOfTaken();
  LetGo(entry);
  taken_bytes_ = 2 * entry.bytes;
  if (account_ != nullptr) account_->Hold(Deliveries::Holding::kRest, taken_bytes_);
  return std::move(entry.event);
}

void Mailbox::Sent() {
  absl::MutexLock lock(&mutex_);
  LetGoOfTaken();
}

uint32_t Mailbox::DropPreviews() {
  absl::MutexLock lock(&mutex_);
  return DropPreviewsOf(std::nullopt);
}

void Mailbox::Close() {
  absl::MutexLock lock(&mutex_);
  closed_ = true;
  for (const Entry& entry : entries_) LetGo(entry);
  entries_.clear();
}

size_t Mailbox::held_bytes() const {
  absl::MutexLock lock(&mutex_);
  return held_bytes_;
}

bool Mailbox::Fits(size_t bytes) const {
  return entries_.empty() || held_bytes_ + bytes <= options_.max_bytes;
}

void Mailbox::Append(v1::GenerateResponse event, size_t bytes) {
  Hold(event, bytes);
  entries_.push_back({std::move(event), bytes});
}

void Mailbox::Hold(const v1::GenerateResponse& event, size_t bytes) {
  held_bytes_ += bytes;
  if (account_ != nullptr) account_->Hold(HoldingOf(event), bytes);
}

void Mailbox::LetGo(const Entry& entry) {
  held_bytes_ -= entry.bytes;
  if (account_ != nullptr) account_->Release(HoldingOf(entry.event), entry.bytes);
}

void Mailbox::LetGoOfTaken() {
  if (account_ != nullptr) account_->Release(Deliveries::Holding::kRest, taken_bytes_);
  taken_bytes_ = 0;
}

uint32_t Mailbox::MakeRoom(size_t bytes) {
  uint32_t dropped = 0;
  for (auto entry = entries_.begin(); entry != entries_.end() && !Fits(bytes);) {
    if (!entry->event.has_preview()) {
      ++entry;
      continue;
    }
    LetGo(*entry);
    ++dropped_[entry->event.preview().image_index()];
    ++dropped;
    entry = entries_.erase(entry);
  }
  return dropped;
}

uint32_t Mailbox::DropPreviewsOf(std::optional<uint32_t> image) {
  const size_t dropped = std::erase_if(entries_, [&](const Entry& entry) {
    mutex_.AssertHeld();
    if (!entry.event.has_preview()) return false;
    const uint32_t its_image = entry.event.preview().image_index();
    if (image.has_value() && its_image != *image) return false;
    LetGo(entry);
    ++dropped_[its_image];
    return true;
  });
  return static_cast<uint32_t>(dropped);
}

}  // namespace hmar
