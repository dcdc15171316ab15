#include "server/calls/mailbox.h"

#include <utility>

namespace hmar {

void Mailbox::Open(v1::GenerateResponse accepted) {
  absl::MutexLock lock(&mutex_);
  if (closed_) return;
  const size_t bytes = accepted.ByteSizeLong();
  entries_.push_front({std::move(accepted), bytes});
  held_bytes_ += bytes;
  open_ = true;
}

uint32_t Mailbox::PutPreview(v1::GenerateResponse preview, uint32_t skipped) {
  absl::MutexLock lock(&mutex_);
  if (closed_) return 0;
  const uint32_t image = preview.preview().image_index();
  const size_t bytes = preview.ByteSizeLong();
  uint32_t dropped_now = 0;
  if (held_bytes_ + bytes > options_.preview_bytes) dropped_now = DropPreviewsOf(image);
  const bool fits = Fits(bytes);
  if (!fits) ++dropped_now;
  uint32_t& dropped = dropped_[image];
  dropped += skipped + dropped_now;
  if (fits) {
    preview.mutable_preview()->set_dropped(dropped);
    Append(std::move(preview), bytes);
  }
  return dropped_now;
}

bool Mailbox::PutFinal(v1::GenerateResponse event) {
  {
    absl::MutexLock lock(&mutex_);
    if (closed_) return true;
    const size_t bytes = event.ByteSizeLong();
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
  held_bytes_ -= entry.bytes;
  return std::move(entry.event);
}

void Mailbox::Close() {
  absl::MutexLock lock(&mutex_);
  closed_ = true;
  entries_.clear();
  held_bytes_ = 0;
}

size_t Mailbox::held_bytes() const {
  absl::MutexLock lock(&mutex_);
  return held_bytes_;
}

bool Mailbox::Fits(size_t bytes) const {
  return entries_.empty() || held_bytes_ + bytes <= options_.max_bytes;
}

void Mailbox::Append(v1::GenerateResponse event, size_t bytes) {
  entries_.push_back({std::move(event), bytes});
  held_bytes_ += bytes;
}

uint32_t Mailbox::DropPreviewsOf(uint32_t image) {
  size_t dropped_bytes = 0;
  const size_t dropped = std::erase_if(entries_, [&](const Entry& entry) {
    const bool drop = entry.event.has_preview() && entry.event.preview().image_index() == image;
    if (drop) dropped_bytes += entry.bytes;
    return drop;
  });
  held_bytes_ -= dropped_bytes;
  return static_cast<uint32_t>(dropped);
}

}  // namespace hmar
