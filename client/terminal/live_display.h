#ifndef HMAR_CLIENT_TERMINAL_LIVE_DISPLAY_H_
#define HMAR_CLIENT_TERMINAL_LIVE_DISPLAY_H_

#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "client/terminal/display.h"
#include "client/terminal/request_progress.h"
#include "client/terminal/screen.h"
#include "client/terminal/terminal.h"

namespace hmar {

// A frame that is redrawn in place by a thread of its own, at most 20 times a second, and at least
// once while time passes or the window changes its size: a slow terminal holds up no event.
class LiveDisplay final : public Display {
 public:
  LiveDisplay(const DisplayOptions& options, const TerminalKind& kind, Terminal& terminal);
  ~LiveDisplay() override;

  void OnAccepted(const v1::Accepted& accepted) override;
  void OnRetry(const std::string& line) override;
  void OnPreview(const v1::Preview& preview, const Picture& pixels) override;
  void OnImage(const v1::Image& image, const Picture& pixels) override;
  void OnCompleted(const v1::Completed& completed) override;
  void Close() override;

 private:
  void Run();
  void Draw();

  const TerminalKind kind_;
  const absl::Time start_;
  Screen screen_;  // Of the thread, while it runs.
  absl::Mutex mutex_;
  RequestProgress progress_ ABSL_GUARDED_BY(mutex_);
  bool changed_ ABSL_GUARDED_BY(mutex_) = true;
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace hmar

#endif  // HMAR_CLIENT_TERMINAL_LIVE_DISPLAY_H_
