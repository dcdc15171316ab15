#ifndef HMAR_SERVER_CALLS_UPLOAD_READERS_H_
#define HMAR_SERVER_CALLS_UPLOAD_READERS_H_

#include <atomic>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "server/base/clock.h"
#include "server/calls/work_rate.h"

namespace hmar {

struct UploadReadersOptions {
  int threads = 0;  // 0: half the cores, at least 2 and at most 16.
  // What all uploads that are being read may hold decoded at a time.
  size_t decoded_bytes = size_t{256} << 20;
  const Clock* clock = nullptr;  // Measures; outlives the readers. Null: nothing is measured.
};

// A few threads that read uploaded pictures, and the order in which they do.
//
// There are two lanes, so that nobody waits for what is much larger than his own: small uploads are
// those of at most a sixteenth of the bound when decoded; a quarter of the bound is theirs, and the
// rest the large ones'. The lanes take turns. With two threads or more one never takes a large
// upload, so a small one waits for small ones alone. In a lane clients take turns, whatever each
// has waiting; one client's uploads are read in the order they came. An upload whose turn it is
// waits for room in its lane's part of the bound, and others behind it wait with it: so it gets its
// turn when the lane's running ones have ended, and none waits for ever.
//
// Posting never blocks. Thread-safe.
class UploadReaders {
 public:
  struct Upload {
    std::string client;        // Who takes turns.
    size_t decoded_bytes = 0;  // What `read` holds at most; at most max_upload_bytes().
    // Runs on a reader's thread; true if it read all there was. When stopping() says so it should
    // give up soon.
    absl::AnyInvocable<bool()> read;
  };

  // Names a waiting upload.
  struct Ticket {
    bool large = false;
    std::string client;
    uint64_t number = 0;
  };

  explicit UploadReaders(const UploadReadersOptions& options);

  // Stops, calls what is left, ends the threads.
  ~UploadReaders();

  Ticket Post(Upload upload);

  // Drops an upload that still waits. False: it is being, or has been, read.
  bool Forget(const Ticket& ticket);

  // For the end: what waits or is posted from now on is called at once, without turns and bounds,
  // to give up.
  void Stop();
  bool stopping() const { return stopping_.load(std::memory_order_acquire); }

  // The largest upload that may be posted, in bytes when decoded.
  size_t max_upload_bytes() const { return large_bytes_; }

  // Until what waits and runs now has been read, by measured times.
  absl::Duration backlog_time() const;

 private:
  // Uploads of one size class.
  struct Lane {
    // By client, then by number. No client without an upload.
    std::map<std::string, std::map<uint64_t, Upload>> waiting;
    std::string last_client;  // Whose turn it was.
    size_t limit_bytes = 0;
    size_t held_bytes = 0;  // Decoded, of those that run.
    int max_running = 0;
    int running = 0;
  };

  Lane& LaneOf(bool large) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return large ? large_ : small_; }
  // The lane that runs its next upload now; null if none may.
  Lane* NextLane() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool MayRun(const Lane& lane) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Upload TakeNext(Lane* lane) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Read();

  const int thread_count_;
  const Clock* const clock_;
  const size_t small_bytes_;  // Decoded, of the largest small upload.
  const size_t large_bytes_;  // Likewise of the largest of all.
  WorkRate rate_;

  mutable absl::Mutex mutex_;
  Lane small_ ABSL_GUARDED_BY(mutex_);
  Lane large_ ABSL_GUARDED_BY(mutex_);
  bool large_was_last_ ABSL_GUARDED_BY(mutex_) = false;
  uint64_t last_number_ ABSL_GUARDED_BY(mutex_) = 0;
  size_t backlog_bytes_ ABSL_GUARDED_BY(mutex_) = 0;  // Decoded, of all that waits or runs.
  std::atomic<bool> stopping_ = false;           // Set under the lock; readers ask at every row.
  bool ending_ ABSL_GUARDED_BY(mutex_) = false;  // Threads end once nothing waits.
  std::vector<std::thread> threads_;
};

}  // namespace hmar

#endif  // HMAR_SERVER_CALLS_UPLOAD_READERS_H_
