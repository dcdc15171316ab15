#include "client/terminal/screen.h"

#include "absl/strings/str_cat.h"

namespace hmar {

namespace {

// What is left of a frame that was being drawn when the process stopped.
constexpr char kEraseBelow[] = "\r\x1b[J";
constexpr char kEraseLine[] = "\r\x1b[2K";  // Of a key that was echoed below the frame: ^C.

}  // namespace

void Screen::Draw(const std::function<Frame(const ScreenSize&)>& make) {
  if (!terminal_.live()) return;
  if (const uint64_t continues = terminal_.continues(); continues != continues_) {
    writer_.Forget();
    terminal_.Write(absl::StrCat(kCloseFrame, kEraseBelow));
    continues_ = continues;
  }
  size_ = terminal_.size();
  terminal_.Write(writer_.Draw(make(size_), size_));
}

void Screen::Leave() {
  if (terminal_.live()) terminal_.Write(absl::StrCat(kCloseFrame, kEraseLine));
}

}  // namespace hmar
