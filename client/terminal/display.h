#ifndef HMAR_CLIENT_TERMINAL_DISPLAY_H_
#define HMAR_CLIENT_TERMINAL_DISPLAY_H_

// What a command says while its request runs.

#include <memory>
#include <string>

#include "client/terminal/terminal.h"
#include "hmar/v1/image_generation.pb.h"
#include "model/picture.h"

namespace hmar {

// Takes a stream's events, which are an answer to the request, on one thread.
class Display {
 public:
  virtual ~Display() = default;

  virtual void OnAccepted(const v1::Accepted& accepted) = 0;
  // The call failed and is tried again: `line` is printable (RetryLine of client/progress.h). What
  // has come stays; another Accepted follows. Not even `quiet` hides it.
  virtual void OnRetry(const std::string& line) = 0;
  virtual void OnPreview(const v1::Preview& preview, const Picture& pixels) = 0;
  virtual void OnImage(const v1::Image& image, const Picture& pixels) = 0;
  virtual void OnCompleted(const v1::Completed& completed) = 0;

  // Shows what has come so far; after it others may write to the terminal. Nothing is shown of
  // later events.
  virtual void Close() = 0;
};

// How a command wants it.
struct DisplayOptions {
  uint32_t images = 1;        // That the request asks for.
  bool quiet = false;         // Nothing at all.
  std::string show = "auto";  // Which pictures, as in terminal_kind.h.
};

// Nothing where `quiet`; a frame in place where the terminal is live; else a line an event, on
// standard error. `terminal` outlives it.
std::unique_ptr<Display> MakeDisplay(const DisplayOptions& options, Terminal& terminal);

}  // namespace hmar

#endif  // HMAR_CLIENT_TERMINAL_DISPLAY_H_
