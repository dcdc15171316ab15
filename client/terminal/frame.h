#ifndef HMAR_CLIENT_TERMINAL_FRAME_H_
#define HMAR_CLIENT_TERMINAL_FRAME_H_

// A few lines at the bottom of what a terminal shows, redrawn in place: a frame, and the bytes that
// turn the last one into the next. Pure.

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "client/terminal/picture_bytes.h"
#include "client/terminal/terminal_kind.h"
#include "model/picture.h"

namespace hmar {

struct ScreenSize {
  uint32_t columns = 80;
  uint32_t rows = 24;
  Size cell = {10, 20};  // Pixels.
  bool operator==(const ScreenSize&) const = default;
};

// One line: printable text, and sequences that change its look and leave none behind.
struct FrameLine {
  std::string bytes;
  uint32_t columns = 0;
  bool operator==(const FrameLine&) const = default;
};

FrameLine PlainLine(const std::string& text);  // `text` without sequences.

// A picture over lines of the frame that are empty there.
struct FramePicture {
  uint32_t line = 0;     // Of the frame, from 0.
  uint32_t column = 0;   // From 0.
  Size cells;            // The picture stands in its upper left corner, as large as fits.
  uint64_t version = 0;  // Another one: the pixels have changed.
  std::shared_ptr<const Picture> pixels;
};

struct Frame {
  std::vector<FrameLine> lines;        // Each narrower than the screen.
  std::vector<FramePicture> pictures;  // From left to right where they share lines.
};

// Closes what a frame leaves open whose end the kernel threw away, as it does with all that waits
// when a key interrupts or stops the process: a picture's sequence, an update. Else it does
// nothing.
inline constexpr char kCloseFrame[] = "\x1b\\\x1b[?2026l";

// Between two calls of Draw the cursor rests at the start of the line below the frame; who prints
// there in between moves the frame's end. It is never hidden and no mode stays changed, so nothing
// but kCloseFrame needs to be written when the process ends at any time. For one thread.
class FrameWriter {
 public:
  // `id` + i is kitty's id of the frame's picture i: other programs' and other frames' are to be
  // different. Not 0.
  FrameWriter(const TerminalKind& kind, uint32_t id) : kind_(kind), id_(id) {}

  // The cursor has left the frame for good: the next one is drawn where it is then.
  void Forget() { drawn_ = {}; }

  // What to write so that the screen shows this frame; empty: it does already. Of a frame with no
  // room (a line of the screen stays free) the upper lines are drawn. After a change of size all is
  // drawn anew, over what the terminal made of the old frame.
  std::string Draw(Frame frame, const ScreenSize& size);

 private:
  bool MustStartAnew(const Frame& frame, const ScreenSize& size) const;
  std::string ToTop(const ScreenSize& size) const;
  std::string Erased() const;
  std::string Lines(const Frame& frame) const;
  std::string Pictures(const Frame& frame, const ScreenSize& size, bool all) const;
  std::string PictureBytes(const FramePicture& picture, uint32_t id, const Size& cell) const;

  const TerminalKind kind_;
  const uint32_t id_;
  Frame drawn_;  // What stands on the screen.
  ScreenSize size_;
};

}  // namespace hmar

#endif  // HMAR_CLIENT_TERMINAL_FRAME_H_
