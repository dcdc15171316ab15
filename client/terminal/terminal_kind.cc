#include "client/terminal/terminal_kind.h"

#include <algorithm>
#include <cstdlib>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"

namespace hmar {
namespace {

constexpr const char* kNames[] = {"TERM",       "TERM_PROGRAM",    "LC_TERMINAL", "COLORTERM",
                                  "NO_COLOR",   "KITTY_WINDOW_ID", "TMUX",        "STY",
                                  "WT_SESSION", "KONSOLE_VERSION", "LC_ALL",      "LC_CTYPE",
                                  "LANG",       "VTE_VERSION"};

// Versions of Konsole and of VTE as they write them: from which on they can what is asked here.
constexpr int kKonsoleWithSixel = 220400;
constexpr int kVteWith24Bit = 3600;

class Reader {
 public:
  explicit Reader(const Variables& variables) : variables_(variables) {}

  std::string Get(const std::string& name) const {
    const auto found = variables_.find(name);
    return found == variables_.end() ? "" : found->second;
  }
  bool Has(const std::string& name) const { return !Get(name).empty(); }
  bool Is(const std::string& name, absl::string_view value) const { return Get(name) == value; }
  bool TermStarts(absl::string_view prefix) const { return absl::StartsWith(Get("TERM"), prefix); }
  bool AtLeast(const std::string& name, int least) const {
    int version = 0;
    return absl::SimpleAtoi(Get(name), &version) && version >= least;
  }

 private:
  const Variables& variables_;
};

// What stands between us and the terminal. Their children see variables of the terminal outside.
bool InTmux(const Reader& at) { return at.Has("TMUX") || at.TermStarts("tmux"); }
bool InScreen(const Reader& at) {
  return !InTmux(at) && (at.Has("STY") || at.TermStarts("screen"));
}

bool IsKitty(const Reader& at) {
  return at.TermStarts("xterm-kitty") || at.TermStarts("xterm-ghostty") ||
         at.Has("KITTY_WINDOW_ID") || at.Is("TERM_PROGRAM", "ghostty");
}

bool IsIterm2(const Reader& at) {
  return at.Is("TERM_PROGRAM", "iTerm.app") || at.Is("TERM_PROGRAM", "WezTerm") ||
         at.Is("TERM_PROGRAM", "mintty") || at.Is("LC_TERMINAL", "iTerm2");
}

bool KnowsSixel(const Reader& at) {
  return at.TermStarts("foot") || at.TermStarts("mlterm") || at.TermStarts("contour") ||
         at.AtLeast("KONSOLE_VERSION", kKonsoleWithSixel);
}

bool IsUtf8(const Reader& at) {
  for (const char* name : {"LC_ALL", "LC_CTYPE", "LANG"}) {  // The first that is set counts.
    if (!at.Has(name)) continue;
    const std::string value = absl::AsciiStrToLower(at.Get(name));
    return absl::StrContains(value, "utf-8") || absl::StrContains(value, "utf8");
  }
  return false;
}

// Whatever NO_COLOR says.
Colours ColoursOf(const Reader& at) {
  if (at.Is("COLORTERM", "truecolor") || at.Is("COLORTERM", "24bit")) return Colours::k24Bit;
  if (absl::EndsWith(at.Get("TERM"), "-direct")) return Colours::k24Bit;
  if (!InTmux(at) && !InScreen(at)) {
    if (IsKitty(at) || IsIterm2(at) || KnowsSixel(at) || at.TermStarts("alacritty") ||
        at.Has("WT_SESSION") || at.AtLeast("VTE_VERSION", kVteWith24Bit)) {
      return Colours::k24Bit;
    }
  }
  return absl::StrContains(at.Get("TERM"), "256color") ? Colours::k256 : Colours::kAnsi;
}

bool Reflows(const Reader& at) {
  return InTmux(at) || IsKitty(at) || IsIterm2(at) || at.Has("VTE_VERSION") ||
         at.Has("WT_SESSION") || at.Has("KONSOLE_VERSION") || at.TermStarts("foot") ||
         at.TermStarts("alacritty") || at.Is("TERM_PROGRAM", "Apple_Terminal") ||
         at.Is("TERM_PROGRAM", "vscode");
}

// Terminals that are known to show no sixels, or to print the question.
bool MayKnowSixel(const Reader& at) {
  return !InScreen(at) && !at.Is("TERM", "linux") && !at.TermStarts("vt") &&
         !at.Is("TERM_PROGRAM", "Apple_Terminal");
}

Graphics BestGraphics(const Reader& at, const TerminalKind& kind,
                      const std::function<bool()>& asks_sixel) {
  if (!InTmux(at) && !InScreen(at)) {
    if (IsKitty(at)) return Graphics::kKitty;
    if (IsIterm2(at)) return Graphics::kIterm2;
    if (KnowsSixel(at)) return Graphics::kSixel;
  }
  if (MayKnowSixel(at) && asks_sixel()) return Graphics::kSixel;
  const bool blocks = kind.utf8 && kind.colours >= Colours::k256;
  return blocks ? Graphics::kBlocks : Graphics::kNone;
}

}  // namespace

Variables TerminalVariables() {
  Variables variables;
  for (const char* name : kNames) {
    if (const char* value = std::getenv(name); value != nullptr) variables[name] = value;
  }
  return variables;
}

bool MovesItsCursor(const Variables& variables) {
  const Reader at(variables);
  return at.Has("TERM") && !at.Is("TERM", "dumb");
}

TerminalKind KindOf(const Variables& variables, absl::string_view show,
                    const std::function<bool()>& asks_sixel) {
  const Reader at(variables);
  TerminalKind kind{.graphics = Graphics::kNone,
                    .colours = at.Has("NO_COLOR") ? Colours::kNone : ColoursOf(at),
                    .picture_colours = std::max(ColoursOf(at), Colours::k256),
                    .utf8 = IsUtf8(at),
                    .reflows = Reflows(at)};
  if (show == "auto") kind.graphics = BestGraphics(at, kind, asks_sixel);
  if (show == "kitty") kind.graphics = Graphics::kKitty;
  if (show == "iterm2") kind.graphics = Graphics::kIterm2;
  if (show == "sixel") kind.graphics = Graphics::kSixel;
  if (show == "blocks") kind.graphics = Graphics::kBlocks;
  return kind;
}

}  // namespace hmar
