#ifndef HMAR_SERVER_KEYS_IMAGE_ALLOWANCE_H_
#define HMAR_SERVER_KEYS_IMAGE_ALLOWANCE_H_

#include <cstdint>
#include <memory>
#include <optional>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "server/base/clock.h"

namespace hmar {

// So many images a minute: a token bucket (Turner, "New Directions in Communications", IEEE
// Communications 24(10), 1986) that holds a minute's images and is full at first. Whoever has made
// nothing for a minute may have a minute's worth at once. Thread-safe.
class ImageAllowance : public std::enable_shared_from_this<ImageAllowance> {
 public:
  // `clock` is never set back, and outlives the object; nothing: any number of images.
  ImageAllowance(std::optional<uint32_t> images_per_minute, const Clock* clock);

  // Images that a request has been promised. What is not kept is given back at its end.
  // Thread-compatible.
  class Ticket {
   public:
    Ticket() = default;  // Of nothing.
    Ticket(Ticket&& other) noexcept = default;
    Ticket& operator=(Ticket&& other) noexcept;
    ~Ticket() { GiveBack(); }

    // The images are being made: they count.
    void Keep() { allowance_.reset(); }

   private:
    friend class ImageAllowance;
    Ticket(std::shared_ptr<ImageAllowance> allowance, uint32_t images)
        : allowance_(std::move(allowance)), images_(images) {}
    void GiveBack();

    std::shared_ptr<ImageAllowance> allowance_;
    uint32_t images_ = 0;
  };

  // Takes `images` for *ticket; or nothing, and says how long it will be until there are as many.
  // REQUIRES: images <= most().
  std::optional<absl::Duration> Take(uint32_t images, Ticket* ticket);

  // What one request may ever have; nothing: any number.
  std::optional<uint32_t> most() const;

  // Another rate from now on. What is left is left, up to a minute of the new rate.
  void SetRate(std::optional<uint32_t> images_per_minute);

 private:
  void Fill() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Return(uint32_t images);

  const Clock& clock_;
  mutable absl::Mutex mutex_;
  std::optional<uint32_t> rate_ ABSL_GUARDED_BY(mutex_);  // Images a minute.
  double left_ ABSL_GUARDED_BY(mutex_) = 0;               // Images.
  absl::Time filled_at_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace hmar

#endif  // HMAR_SERVER_KEYS_IMAGE_ALLOWANCE_H_
