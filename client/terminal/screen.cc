#include "client/terminal/screen.h"

#include <utility>

namespace hmar {

void Screen::Draw(const std::function<Frame(const ScreenSize&)>& make) {
  if (!terminal_.live()) return;
  if (const uint64_t continues = terminal_.continues(); continues != continues_) {
    writer_.Forget();
    continues_ = continues;
  }
  size_ = terminal_.size();
  terminal_.Write(writer_.Draw(make(size_), size_));
}

}  // namespace hmar
