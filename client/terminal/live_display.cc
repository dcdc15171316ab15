#include "client/terminal/live_display.h"

#include <utility>

#include "absl/time/clock.h"

namespace hmar {
namespace {

constexpr absl::Duration kBetweenFrames = absl::Milliseconds(50);
constexpr absl::Duration kLongestRest = absl::Milliseconds(250);

// Another one for each process, and not what other programs count from.
uint32_t FirstPictureId() {
  return (static_cast<uint32_t>(absl::ToUnixMicros(absl::Now())) * 2654435761U) | 0x01000000U;
}

}  // namespace

LiveDisplay::LiveDisplay(const DisplayOptions& options, const TerminalKind& kind,
                         Terminal& terminal)
    : kind_(kind),
      start_(absl::Now()),
      screen_(kind, FirstPictureId(), terminal),
      progress_(options.images, kind.graphics != Graphics::kNone),
      thread_([this] { Run(); }) {}

LiveDisplay::~LiveDisplay() { Close(); }

void LiveDisplay::OnAccepted(const v1::Accepted& accepted) {
  const absl::MutexLock lock(&mutex_);
  progress_.OnAccepted(accepted);
  changed_ = true;
}

void LiveDisplay::OnRetry(const std::string& line) {
  const absl::MutexLock lock(&mutex_);
  progress_.OnRetry(line);
  changed_ = true;
}

void LiveDisplay::OnPreview(const v1::Preview& preview, const Picture& pixels) {
  const absl::MutexLock lock(&mutex_);
  progress_.OnPreview(preview, pixels, absl::Now() - start_);
  changed_ = true;
}

void LiveDisplay::OnImage(const v1::Image& image, const Picture& pixels) {
  const absl::MutexLock lock(&mutex_);
  progress_.OnImage(image, pixels, absl::Now() - start_);
  changed_ = true;
}

void LiveDisplay::OnCompleted(const v1::Completed& completed) {
  const absl::MutexLock lock(&mutex_);
  progress_.OnCompleted(completed);
  changed_ = true;
}

void LiveDisplay::Close() {
  {
    const absl::MutexLock lock(&mutex_);
    if (std::exchange(closed_, true)) return;
  }
  thread_.join();
  Draw();
  screen_.Leave();
}

void LiveDisplay::Run() {
  const auto news = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return changed_ || closed_; };
  const auto closed = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return closed_; };
  for (;;) {
    {
      const absl::MutexLock lock(&mutex_);
      mutex_.AwaitWithTimeout(absl::Condition(&news), kLongestRest);
      if (closed_) return;
    }
    Draw();
    const absl::MutexLock lock(&mutex_);
    if (mutex_.AwaitWithTimeout(absl::Condition(&closed), kBetweenFrames)) return;
  }
}

// Events that come while the terminal takes its bytes do not wait for it.
void LiveDisplay::Draw() {
  screen_.Draw([this](const ScreenSize& size) {
    const absl::MutexLock lock(&mutex_);
    changed_ = false;
    return ProgressFrame(progress_, kind_, size, absl::Now() - start_);
  });
}

}  // namespace hmar
