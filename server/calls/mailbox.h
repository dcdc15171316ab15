#ifndef HMAR_SERVER_CALLS_MAILBOX_H_
#define HMAR_SERVER_CALLS_MAILBOX_H_

#include <cstdint>
#include <deque>
#include <optional>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/synchronization/mutex.h"
#include "hmar/v1/image_generation.pb.h"
#include "server/calls/deliveries.h"

namespace hmar {

struct MailboxOptions {
  size_t max_bytes = size_t{64} << 20;      // Unsent events a stream may hold, as serialized.
  size_t preview_bytes = size_t{16} << 20;  // Holding more than this, newer previews replace older.
};

// The events of one stream between those who make them and the one who writes them. It bounds what
// a slow client can make the server hold: under pressure an image's newest preview replaces its
// unsent older ones, and previews give way to an Image, while Accepted, Image and Completed are
// never dropped; a stream that still outgrows its bound is closed. What it holds is in its call's
// account, and twice the event that was taken last: gRPC makes a copy of it. Where all calls
// together have no room left, a preview is not held.
//
// A passive object: it has no thread and calls nobody but the account. Thread-safe.
//
// Invariants: nothing leaves before Accepted; events leave in the order they came, so an image's
// previews leave in scale order and before its Image if they came so; at most max_bytes are held,
// or else a single event.
class Mailbox {
 public:
  // `account` (null: none) outlives it.
  explicit Mailbox(const MailboxOptions& options, Deliveries::Account* account = nullptr)
      : options_(options), account_(account) {}

  // Puts Accepted at the front and lets events out. Call once; events may have come before.
  void Open(v1::GenerateResponse accepted);

  // Holds a preview. `skipped` previews of its image were left out just before it, elsewhere.
  // Returns how many previews this call dropped: unsent older ones of the image, or the new one
  // itself where only dropping it keeps the bound. The total of an image's dropped previews so far,
  // with the skipped, goes into Preview.dropped of the next one that is held.
  uint32_t PutPreview(v1::GenerateResponse preview, uint32_t skipped);

  // Holds an Image or a Completed; where that would exceed max_bytes, instead of previews, the
  // oldest first, whose number is added to `dropped` (may be null). False: it exceeds it even so;
  // the mailbox is closed then.
  [[nodiscard]] bool PutFinal(v1::GenerateResponse event, uint32_t* dropped = nullptr);

  // The next event, if there is one and the mailbox is open. The one before it has been sent.
  std::optional<v1::GenerateResponse> Take();

  // The event that was taken last has been sent: nobody holds it any more.
  void Sent();

  // Drops every preview that is held. How many.
  uint32_t DropPreviews();

  // Drops everything held and, from now on, everything put.
  void Close();

  size_t held_bytes() const;

 private:
  struct Entry {
    v1::GenerateResponse event;
    size_t bytes = 0;
  };

  bool Fits(size_t bytes) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool AllHaveRoom(size_t bytes) const { return account_ == nullptr || account_->HasRoom(bytes); }
  void Hold(const v1::GenerateResponse& event, size_t bytes) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void LetGo(const Entry& entry) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void LetGoOfTaken() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Append(v1::GenerateResponse event, size_t bytes) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Drops previews, the oldest first, until so many bytes fit or there are none. How many.
  uint32_t MakeRoom(size_t bytes) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Those of one image, or all.
  uint32_t DropPreviewsOf(std::optional<uint32_t> image) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const MailboxOptions options_;
  Deliveries::Account* const account_;
  mutable absl::Mutex mutex_;
  std::deque<Entry> entries_ ABSL_GUARDED_BY(mutex_);
  size_t held_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  // What the event taken last counts in the account, until it is sent.
  size_t taken_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::flat_hash_map<uint32_t, uint32_t> dropped_
      ABSL_GUARDED_BY(mutex_);  // By image, since the start.
  bool open_ ABSL_GUARDED_BY(mutex_) = false;
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace hmar

#endif  // HMAR_SERVER_CALLS_MAILBOX_H_
