#ifndef HMAR_CLIENT_TERMINAL_TERMINAL_H_
#define HMAR_CLIENT_TERMINAL_TERMINAL_H_

// The terminal that a command runs at, if any.

#include <termios.h>

#include <atomic>
#include <cstdint>
#include <optional>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "client/terminal/frame.h"
#include "client/terminal/terminal_kind.h"

namespace hmar {

// Reads keys from one descriptor and writes frames to another; neither need be a terminal. Modes of
// the terminal that were changed are put back by the destructor, by Abandon, and where the keys
// end. Thread-safe.
class Terminal {
 public:
  Terminal(int in, int out, Variables variables);
  ~Terminal();
  Terminal(const Terminal&) = delete;
  Terminal& operator=(const Terminal&) = delete;

  // True: what is written may move the cursor. False: it goes to a file or a pipe, the terminal is
  // too plain (terminal_kind.h), or another program is in its foreground.
  bool live() const;

  // `show` as in terminal_kind.h. May ask the terminal, for 300 ms at most; what somebody types
  // meanwhile is given back to it where the system allows that. Nothing is asked where something
  // has been typed already.
  TerminalKind Kind(absl::string_view show);

  ScreenSize size() const;

  // All of it, however long the terminal takes. Errors are passed over: nobody is there to see.
  void Write(absl::string_view bytes) const;

  // From now on ReadKey has each key when it is pressed, and shows none; interrupts are still
  // signals. Calling it again does no harm, and is needed after a stop and a continue.
  void StartKeys();
  void StopKeys();

  // A key that was pressed, if there is one; does not wait.
  std::optional<char> ReadKey() const;
  // Waits until there may be a key, or that long.
  void WaitForKey(absl::Duration timeout) const;

  // The process was stopped and goes on: the cursor is somewhere else, and the modes may be.
  void NoteContinue() { ++continues_; }
  uint64_t continues() const { return continues_; }  // How often so far.

  // For a process that is about to end while another thread draws: ends a half-written sequence,
  // puts modes back. Waits for nothing.
  void Abandon();

 private:
  bool InForeground(int fd) const;
  bool AsksSixel();

  const int in_;
  const int out_;
  const Variables variables_;
  std::atomic<uint64_t> continues_ = 0;
  absl::Mutex mutex_;
  std::optional<termios> original_ ABSL_GUARDED_BY(mutex_);  // Before keys came one by one.
};

}  // namespace hmar

#endif  // HMAR_CLIENT_TERMINAL_TERMINAL_H_
