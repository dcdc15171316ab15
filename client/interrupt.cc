#include "client/interrupt.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "client/exit_code.h"

namespace hmar {
namespace {

sigset_t InterruptSignals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGCONT);  // Blocked, it still lets the process go on.
  return signals;
}

}  // namespace

InterruptWatcher::InterruptWatcher(InterruptActions actions) : actions_(std::move(actions)) {
  const sigset_t signals = InterruptSignals();
  pthread_sigmask(SIG_BLOCK, &signals, &previous_mask_);
  signals_fd_ = signalfd(-1, &signals, SFD_CLOEXEC);
  stop_fd_ = eventfd(0, EFD_CLOEXEC);
  thread_ = std::thread([this] { Watch(); });
}

InterruptWatcher::~InterruptWatcher() {
  eventfd_write(stop_fd_, 1);
  thread_.join();
  close(stop_fd_);
  close(signals_fd_);
  pthread_sigmask(SIG_SETMASK, &previous_mask_, nullptr);
}

void InterruptWatcher::Watch() {
  pollfd fds[] = {{signals_fd_, POLLIN, 0}, {stop_fd_, POLLIN, 0}};
  for (bool interrupted = false;;) {
    if (poll(fds, 2, -1) < 0 && errno != EINTR) return;
    if (fds[1].revents != 0) return;
    signalfd_siginfo info;
    if (fds[0].revents == 0 || read(signals_fd_, &info, sizeof(info)) != sizeof(info)) continue;
    if (info.ssi_signo == SIGCONT) {
      if (actions_.on_continue != nullptr) actions_.on_continue();
      continue;
    }
    if (interrupted) {
      if (actions_.before_exit != nullptr) actions_.before_exit();
      _exit(kExitInterrupted);
    }
    interrupted = true;
    actions_.on_interrupt();
  }
}

}  // namespace hmar
