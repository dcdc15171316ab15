#ifndef HMAR_CLIENT_INTERRUPT_H_
#define HMAR_CLIENT_INTERRUPT_H_

#include <signal.h>

#include <functional>
#include <thread>

namespace hmar {

// Turns Ctrl-C and SIGTERM into a callback on a thread of its own, while it lives; a second one
// calls `before_exit`, there too, and ends the process at once. Make it before any other thread:
// threads started earlier would still die of the signal.
class InterruptWatcher {
 public:
  explicit InterruptWatcher(std::function<void()> on_interrupt,
                            std::function<void()> before_exit = nullptr);
  ~InterruptWatcher();
  InterruptWatcher(const InterruptWatcher&) = delete;
  InterruptWatcher& operator=(const InterruptWatcher&) = delete;

 private:
  void Watch();

  const std::function<void()> on_interrupt_;
  const std::function<void()> before_exit_;  // May be null.
  sigset_t previous_mask_;
  int signals_fd_;  // signalfd
  int stop_fd_;     // eventfd: readable once the destructor runs.
  std::thread thread_;
};

}  // namespace hmar

#endif  // HMAR_CLIENT_INTERRUPT_H_
