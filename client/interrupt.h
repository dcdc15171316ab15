#ifndef HMAR_CLIENT_INTERRUPT_H_
#define HMAR_CLIENT_INTERRUPT_H_

#include <signal.h>

#include <functional>
#include <thread>

namespace hmar {

// Turns Ctrl-C and SIGTERM into a callback on a thread of its own, while it lives; a second one
// ends the process at once. Make it before any other thread: threads started earlier would still
// die of the signal.
class InterruptWatcher {
 public:
  explicit InterruptWatcher(std::function<void()> on_interrupt);
  ~InterruptWatcher();
  InterruptWatcher(const InterruptWatcher&) = delete;
  InterruptWatcher& operator=(const InterruptWatcher&) = delete;

 private:
  void Watch();

  const std::function<void()> on_interrupt_;
  sigset_t previous_mask_;
  int signals_fd_;  // signalfd
  int stop_fd_;     // eventfd: readable once the destructor runs.
  std::thread thread_;
};

}  // namespace hmar

#endif  // HMAR_CLIENT_INTERRUPT_H_
