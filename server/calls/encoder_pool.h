#ifndef HMAR_SERVER_CALLS_ENCODER_POOL_H_
#define HMAR_SERVER_CALLS_ENCODER_POOL_H_

#include <cstdint>
#include <deque>
#include <memory>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "server/base/clock.h"
#include "server/calls/work_rate.h"

namespace hmar {

struct EncoderPoolOptions {
  int threads = 1;
  // Raw previews that may wait. Beyond it an image's newest preview replaces its older waiting
  // ones; if even then there is no room, but for one where none waits, it is dropped.
  size_t preview_bytes = size_t{64} << 20;
  const Clock* clock = nullptr;  // Measures; outlives the pool. Null: nothing is measured.
};

// A few threads that turn pictures into events, so that neither the engine nor gRPC waits for an
// encoder.
//
// One strand an image: the jobs of a strand run one at a time, in the order they were posted, so an
// image's previews and its final picture stay in order by construction while different images are
// encoded side by side. Threads take a job of each strand in turn. Posting never blocks.
// Thread-safe.
class EncoderPool {
 public:
  // A preview's job learns how many previews of its strand were dropped just before it.
  using PreviewJob = absl::AnyInvocable<void(uint32_t skipped)>;
  using FinalJob = absl::AnyInvocable<void()>;

  class Strand {
   private:
    friend class EncoderPool;
    struct Job {
      size_t bytes = 0;
      uint32_t skipped = 0;
      PreviewJob preview;  // Either this
      FinalJob final;      // or that.
    };
    std::deque<Job> jobs;    // Guarded by the pool's mutex, as all of this.
    uint32_t skipped = 0;    // Previews dropped since the last job.
    bool scheduled = false;  // In runnable_, or with a thread.
  };

  explicit EncoderPool(const EncoderPoolOptions& options);

  // Runs what was posted, then ends the threads.
  ~EncoderPool();

  // May be released while jobs wait.
  std::shared_ptr<Strand> NewStrand() const { return std::make_shared<Strand>(); }

  // These two may throw std::bad_alloc; then the job is not posted.
  //
  // Posts a preview that holds `bytes` until its job has run. Returns how many previews of the
  // strand were dropped: older ones that gave way, or this one.
  uint32_t PostPreview(const std::shared_ptr<Strand>& strand, size_t bytes, PreviewJob job);

  // Posts a final picture; it is never dropped. How many may wait is for whoever admits requests.
  void PostFinal(const std::shared_ptr<Strand>& strand, size_t bytes, FinalJob job);

  // Bytes of the previews that wait.
  size_t preview_bytes() const;

  // What the threads together take for so many bytes of pictures, as measured.
  absl::Duration TimeFor(size_t bytes) const;

 private:
  void Push(const std::shared_ptr<Strand>& strand, Strand::Job job)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void RunJobs();

  const EncoderPoolOptions options_;
  WorkRate rate_;
  mutable absl::Mutex mutex_;
  std::deque<std::shared_ptr<Strand>> runnable_ ABSL_GUARDED_BY(mutex_);
  size_t preview_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<std::thread> threads_;
};

}  // namespace hmar

#endif  // HMAR_SERVER_CALLS_ENCODER_POOL_H_
