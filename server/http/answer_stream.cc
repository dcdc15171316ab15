#include "server/http/answer_stream.h"

#include <poll.h>

#include <algorithm>
#include <array>
#include <cstring>

namespace hmar {
namespace {

constexpr int kTickMilliseconds = 200;

}  // namespace

ssize_t AnswerStream::read(char* data, size_t size) {
  const size_t count = std::min(size, head_.size() - read_);
  std::memcpy(data, head_.data() + read_, count);
  read_ += count;
  return static_cast<ssize_t>(count);
}

ssize_t AnswerStream::write(const char* data, size_t size) {
  const absl::Time deadline = clock_.Now() + send_;
  absl::string_view left(data, size);
  while (!left.empty() && !failed_) {
    size_t count = 0;
    const Io io = channel_.Write(left, &count);
    if (io == Io::kDone) {
      left.remove_prefix(count);
    } else {
      failed_ = !WaitFor(io, deadline);
    }
  }
  return failed_ ? -1 : static_cast<ssize_t>(size);
}

bool AnswerStream::WaitFor(Io io, absl::Time deadline) {
  if (io != Io::kWantRead && io != Io::kWantWrite) return false;
  std::array<pollfd, 2> fds = {};
  fds[0].fd = channel_.fd();
  fds[0].events = io == Io::kWantRead ? POLLIN : POLLOUT;
  fds[1].fd = wake_fd_;  // Negative: ignored.
  fds[1].events = POLLIN;
  while (clock_.Now() < deadline) {
    if (stopped_ && stopped_()) return false;
    // A wake-up that is not for an end is left for whoever waits for it, and not waited with.
    const int count = poll(fds.data(), fds.size(), kTickMilliseconds);
    if (fds[0].revents != 0) return (fds[0].revents & (POLLERR | POLLNVAL)) == 0;
    if (count > 0 && fds[1].revents != 0) fds[1].fd = -1;
  }
  timed_out_ = true;
  return false;
}

void AnswerStream::get_remote_ip_and_port(std::string& ip, int& port) const {
  ip.clear();
  port = 0;
}

void AnswerStream::get_local_ip_and_port(std::string& ip, int& port) const {
  ip.clear();
  port = 0;
}

}  // namespace hmar
