#ifndef HMAR_SERVER_BASE_BYTE_BUDGET_H_
#define HMAR_SERVER_BASE_BYTE_BUDGET_H_

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <optional>
#include <utility>

namespace hmar {

// A bound on the bytes that many holders keep together. Thread-safe; outlives its shares.
class ByteBudget {
 public:
  explicit ByteBudget(size_t limit_bytes) : limit_bytes_(limit_bytes) {}

  // A holder's part; given back by its destructor. Thread-compatible.
  class Share {
   public:
    Share() = default;
    Share(Share&& other) noexcept
        : budget_(std::exchange(other.budget_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}
    Share& operator=(Share&& other) noexcept {
      ShrinkTo(0);
      budget_ = std::exchange(other.budget_, nullptr);
      bytes_ = std::exchange(other.bytes_, 0);
      return *this;
    }
    ~Share() { ShrinkTo(0); }

    // Gives all but `bytes` back.
    void ShrinkTo(size_t bytes) {
      if (budget_ == nullptr || bytes >= bytes_) return;
      budget_->held_bytes_.fetch_sub(bytes_ - bytes, std::memory_order_relaxed);
      bytes_ = bytes;
    }

   private:
    friend class ByteBudget;
    Share(ByteBudget* budget, size_t bytes) : budget_(budget), bytes_(bytes) {}

    ByteBudget* budget_ = nullptr;
    size_t bytes_ = 0;
  };

  // Nothing: `bytes` more would exceed the limit.
  std::optional<Share> Take(size_t bytes) {
    size_t held = held_bytes_.load(std::memory_order_relaxed);
    do {
      if (bytes > limit_bytes_ - std::min(held, limit_bytes_)) return std::nullopt;
    } while (!held_bytes_.compare_exchange_weak(held, held + bytes, std::memory_order_relaxed));
    return Share(this, bytes);
  }

  size_t limit_bytes() const { return limit_bytes_; }
  size_t held_bytes() const { return held_bytes_.load(std::memory_order_relaxed); }

 private:
  const size_t limit_bytes_;
  std::atomic<size_t> held_bytes_ = 0;
};

}  // namespace hmar

#endif  // HMAR_SERVER_BASE_BYTE_BUDGET_H_
