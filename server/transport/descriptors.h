#ifndef HMAR_SERVER_TRANSPORT_DESCRIPTORS_H_
#define HMAR_SERVER_TRANSPORT_DESCRIPTORS_H_

#include <cstdint>
#include <utility>

namespace hmar {

// A file descriptor that is closed with its owner. Thread-compatible.
class Descriptor {
 public:
  Descriptor() = default;
  explicit Descriptor(int fd) : fd_(fd) {}  // Negative: none.
  Descriptor(Descriptor&& other) noexcept : fd_(other.Release()) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Descriptor() { Close(); }

  bool ok() const { return fd_ >= 0; }
  int get() const { return fd_; }
  int Release() { return std::exchange(fd_, -1); }
  void Close();

 private:
  int fd_ = -1;
};

// How many descriptors this process may have open.
struct DescriptorLimit {
  uint64_t before = 0;
  uint64_t now = 0;
};

// Raises the soft limit to the hard one, for the whole process. If that is refused the limit stays.
DescriptorLimit RaiseDescriptorLimit();

}  // namespace hmar

#endif  // HMAR_SERVER_TRANSPORT_DESCRIPTORS_H_
