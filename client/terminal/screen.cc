#include "client/terminal/screen.h"

namespace hmar {

namespace {

// What is left of a frame that was being drawn when the process stopped.
constexpr char kEraseBelow[] = "\r\x1b[J";

}  // namespace

void Screen::Draw(const std::function<Frame(const ScreenSize&)>& make) {
  if (!terminal_.live()) return;
  if (const uint64_t continues = terminal_.continues(); continues != continues_) {
    writer_.Forget();
    terminal_.Write(kEraseBelow);
    continues_ = continues;
  }
  size_ = terminal_.size();
  terminal_.Write(writer_.Draw(make(size_), size_));
}

}  // namespace hmar
