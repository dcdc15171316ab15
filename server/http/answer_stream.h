#ifndef HMAR_SERVER_HTTP_ANSWER_STREAM_H_
#define HMAR_SERVER_HTTP_ANSWER_STREAM_H_

#include <httplib.h>

#include <cstddef>
#include <functional>
#include <string>

#include "absl/time/time.h"
#include "server/base/clock.h"
#include "server/http/channel.h"

namespace hmar {

// What cpp-httplib reads a request from and writes its answer to. It reads a head that has been
// checked, from memory; it writes to the channel, and waits for the client there, for a bounded
// time and for as long as nobody ends it. Thread-compatible.
class AnswerStream final : public httplib::Stream {
 public:
  // All outlive it. `send`: for one write to be taken by the client.
  AnswerStream(Channel* channel, std::string head, absl::Duration send, const Clock* clock)
      : channel_(*channel), head_(std::move(head)), send_(send), clock_(*clock) {}

  // Writes that wait end, with failure, once `stopped` says so; it is asked when `wake_fd` becomes
  // readable, and now and then.
  void EndWith(int wake_fd, std::function<bool()> stopped) {
    wake_fd_ = wake_fd;
    stopped_ = std::move(stopped);
  }

  bool failed() const { return failed_; }
  // Because the client did not take a write in its time.
  bool timed_out() const { return timed_out_; }

  bool is_readable() const override { return read_ < head_.size(); }
  bool is_writable() const override { return !failed_; }
  ssize_t read(char* data, size_t size) override;
  // All of it or, with -1, some.
  ssize_t write(const char* data, size_t size) override;
  void get_remote_ip_and_port(std::string& ip, int& port) const override;
  void get_local_ip_and_port(std::string& ip, int& port) const override;
  // Not the real one: cpp-httplib refuses those above FD_SETSIZE, and only for select().
  socket_t socket() const override { return 0; }

 private:
  bool WaitFor(Io io, absl::Time deadline);

  Channel& channel_;
  const std::string head_;
  const absl::Duration send_;
  const Clock& clock_;
  size_t read_ = 0;
  bool failed_ = false;
  bool timed_out_ = false;
  int wake_fd_ = -1;
  std::function<bool()> stopped_;
};

}  // namespace hmar

#endif  // HMAR_SERVER_HTTP_ANSWER_STREAM_H_
