#ifndef HMAR_CLIENT_INTERRUPT_H_
#define HMAR_CLIENT_INTERRUPT_H_

#include <signal.h>

#include <functional>
#include <thread>

namespace hmar {

// What to do, on the watcher's thread.
struct InterruptActions {
  std::function<void()> on_interrupt;
  std::function<void()> before_exit = nullptr;  // May be null.
  std::function<void()> on_continue = nullptr;  // May be null.
};

// Turns Ctrl-C and SIGTERM into a call of on_interrupt, while it lives; a second one calls
// before_exit and ends the process at once. SIGCONT, after Ctrl-Z say, calls on_continue. Make it
// before any other thread: threads started earlier would still die of the signal.
class InterruptWatcher {
 public:
  explicit InterruptWatcher(InterruptActions actions);
  ~InterruptWatcher();
  InterruptWatcher(const InterruptWatcher&) = delete;
  InterruptWatcher& operator=(const InterruptWatcher&) = delete;

 private:
  void Watch();

  const InterruptActions actions_;
  sigset_t previous_mask_;
  int signals_fd_;  // signalfd
  int stop_fd_;     // eventfd: readable once the destructor runs.
  std::thread thread_;
};

}  // namespace hmar

#endif  // HMAR_CLIENT_INTERRUPT_H_
