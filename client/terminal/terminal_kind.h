#ifndef HMAR_CLIENT_TERMINAL_TERMINAL_KIND_H_
#define HMAR_CLIENT_TERMINAL_TERMINAL_KIND_H_

// What a terminal can show, as its environment tells it. Pure.

#include <functional>
#include <map>
#include <string>

#include "absl/strings/string_view.h"

namespace hmar {

// Variables of the environment that are set, by name.
using Variables = std::map<std::string, std::string>;

// How pictures get onto a terminal.
enum class Graphics {
  kNone,
  kKitty,   // kitty's graphics protocol: PNGs, scaled by the terminal.
  kIterm2,  // iTerm2's inline images: likewise.
  kSixel,   // DEC's sixels: pixels of at most 256 colours.
  kBlocks,  // A cell is two pixels: the upper half block in one colour on another.
};

// Of text: none at all, the eight of ANSI, the 256 of xterm, or any 24-bit one.
enum class Colours { kNone, kAnsi, k256, k24Bit };

struct TerminalKind {
  Graphics graphics = Graphics::kNone;
  Colours colours = Colours::kNone;          // Of text.
  Colours picture_colours = Colours::kNone;  // Of blocks: k256 or k24Bit where graphics are those.
  bool utf8 = false;                         // Else ASCII alone.
  bool reflows = false;                      // A narrower window wraps lines that stand on it anew.
};

// The variables that KindOf looks at; nobody else reads them.
Variables TerminalVariables();

// False: nothing but plain lines belongs there (TERM unset or "dumb").
bool MovesItsCursor(const Variables& variables);

// `show` is "auto", "never", or a protocol by its name: kitty, iterm2, sixel, blocks. With "auto"
// NO_COLOR means no blocks either, for they are nothing but colours. `asks_sixel` asks the terminal
// itself (terminal.h); called at most once, where the variables do not tell.
TerminalKind KindOf(const Variables& variables, absl::string_view show,
                    const std::function<bool()>& asks_sixel);

}  // namespace hmar

#endif  // HMAR_CLIENT_TERMINAL_TERMINAL_KIND_H_
