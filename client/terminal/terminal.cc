#include "client/terminal/terminal.h"

#include <poll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "client/terminal/device_attributes.h"

namespace hmar {
namespace {

constexpr absl::Duration kAnswerTime = absl::Milliseconds(300);
constexpr uint32_t kMostColumns = 1000;  // Of a terminal that says it has more.
constexpr uint32_t kMostRows = 500;
constexpr uint32_t kMostCellPixels = 100;

bool Poll(int fd, absl::Duration timeout) {
  pollfd waits = {fd, POLLIN, 0};
  const auto milliseconds = static_cast<int>(absl::ToInt64Milliseconds(timeout));
  return poll(&waits, 1, std::max(milliseconds, 0)) > 0 && (waits.revents & POLLIN) != 0;
}

bool HasBytes(int fd) {
  int bytes = 0;
  return ioctl(fd, FIONREAD, &bytes) != 0 || bytes > 0;
}

// As if typed. Newer kernels allow it to root alone: then it is lost.
void GiveBack(int fd, const std::string& typed) {
  for (const char c : typed) ioctl(fd, TIOCSTI, &c);
}

}  // namespace

Terminal::Terminal(int in, int out, Variables variables)
    : in_(in), out_(out), variables_(std::move(variables)) {}

Terminal::~Terminal() { StopKeys(); }

bool Terminal::InForeground(int fd) const { return tcgetpgrp(fd) == getpgrp(); }

bool Terminal::live() const {
  return isatty(out_) == 1 && MovesItsCursor(variables_) && InForeground(out_);
}

TerminalKind Terminal::Kind(absl::string_view show) {
  return KindOf(variables_, show, [this] { return AsksSixel(); });
}

bool Terminal::AsksSixel() {
  if (isatty(in_) != 1 || isatty(out_) != 1 || !InForeground(in_)) return false;
  StartKeys();  // Only now is the start of a line seen, too.
  if (HasBytes(in_)) {
    StopKeys();
    return false;
  }
  Write(kAskDeviceAttributes);
  DeviceAttributesReader reader;
  const absl::Time end = absl::Now() + kAnswerTime;
  for (bool whole = false; !whole && Poll(in_, end - absl::Now());) {
    char c = 0;
    if (read(in_, &c, 1) != 1) break;
    whole = reader.Take(absl::string_view(&c, 1));
  }
  GiveBack(in_, reader.typed());
  StopKeys();
  return reader.sixel();
}

ScreenSize Terminal::size() const {
  ScreenSize size;
  winsize window = {};
  if (ioctl(out_, TIOCGWINSZ, &window) != 0 || window.ws_col == 0 || window.ws_row == 0) {
    return size;
  }
  size.columns = std::min<uint32_t>(window.ws_col, kMostColumns);
  size.rows = std::min<uint32_t>(window.ws_row, kMostRows);
  const Size cell = {window.ws_xpixel / uint32_t{window.ws_col},
                     window.ws_ypixel / uint32_t{window.ws_row}};
  if (cell.width > 0 && cell.height > 0) {
    size.cell = {std::min(cell.width, kMostCellPixels), std::min(cell.height, kMostCellPixels)};
  }
  return size;
}

void Terminal::Write(absl::string_view bytes) const {
  while (!bytes.empty()) {
    const ssize_t written = write(out_, bytes.data(), bytes.size());
    if (written >= 0) {
      bytes.remove_prefix(static_cast<size_t>(written));
    } else if (errno == EAGAIN) {
      pollfd room = {out_, POLLOUT, 0};
      if (poll(&room, 1, -1) < 0 && errno != EINTR) return;
    } else if (errno != EINTR) {
      return;
    }
  }
}

void Terminal::StartKeys() {
  if (isatty(in_) != 1 || !InForeground(in_)) return;  // Else the system would stop us.
  const absl::MutexLock lock(&mutex_);
  termios now = {};
  if (tcgetattr(in_, &now) != 0) return;
  if (!original_) original_ = now;
  now.c_lflag &= ~static_cast<tcflag_t>(ICANON | ECHO);
  now.c_cc[VQUIT] = _POSIX_VDISABLE;  // Ctrl-\ would leave all this behind.
  now.c_cc[VMIN] = 1;
  now.c_cc[VTIME] = 0;
  tcsetattr(in_, TCSANOW, &now);
}

void Terminal::StopKeys() {
  const absl::MutexLock lock(&mutex_);
  if (original_ && InForeground(in_)) tcsetattr(in_, TCSANOW, &*original_);
  original_.reset();
}

std::optional<char> Terminal::ReadKey() const {
  char c = 0;
  if (isatty(in_) != 1 || !InForeground(in_) || !Poll(in_, absl::ZeroDuration())) {
    return std::nullopt;
  }
  return read(in_, &c, 1) == 1 ? std::optional<char>(c) : std::nullopt;
}

void Terminal::WaitForKey(absl::Duration timeout) const {
  if (isatty(in_) == 1 && InForeground(in_)) {
    Poll(in_, timeout);
  } else {
    absl::SleepFor(timeout);
  }
}

void Terminal::Abandon() {
  if (!live()) return;
  StopKeys();
  constexpr absl::string_view kEndOfSequence = "\x1b\\\x1b[0m\r\n";
  pollfd room = {out_, POLLOUT, 0};
  // A terminal that takes nothing, after Ctrl-S say, is not waited for.
  if (poll(&room, 1, 0) <= 0) return;
  [[maybe_unused]] const ssize_t written =
      write(out_, kEndOfSequence.data(), kEndOfSequence.size());
}

}  // namespace hmar
