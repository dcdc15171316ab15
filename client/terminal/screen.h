#ifndef HMAR_CLIENT_TERMINAL_SCREEN_H_
#define HMAR_CLIENT_TERMINAL_SCREEN_H_

#include <cstdint>
#include <functional>

#include "client/terminal/frame.h"
#include "client/terminal/terminal.h"

namespace hmar {

// A frame on a terminal. Draws nothing while the process is in the background, and begins anew
// where the cursor is once it goes on after a stop. For one thread.
class Screen {
 public:
  // `terminal` outlives it. `picture_id` as in frame.h.
  Screen(const TerminalKind& kind, uint32_t picture_id, Terminal& terminal)
      : terminal_(terminal), writer_(kind, picture_id) {}

  // Shows what `make` makes for the terminal's size.
  void Draw(const std::function<Frame(const ScreenSize&)>& make);

  // After the last frame: the line below it is empty, and nothing is left open.
  void Leave();

  // True: the terminal has another size than when the frame was drawn.
  bool resized() const { return terminal_.size() != size_; }

 private:
  Terminal& terminal_;
  FrameWriter writer_;
  ScreenSize size_;
  uint64_t continues_ = 0;
};

}  // namespace hmar

#endif  // HMAR_CLIENT_TERMINAL_SCREEN_H_
