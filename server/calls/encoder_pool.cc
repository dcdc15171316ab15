#include "server/calls/encoder_pool.h"

#include <algorithm>
#include <utility>

namespace hmar {
namespace {

constexpr double kGuessedBytesPerSecond = 50e6;  // Of pictures, one thread.

}  // namespace

EncoderPool::EncoderPool(const EncoderPoolOptions& options)
    : options_(options), rate_(kGuessedBytesPerSecond) {
  for (int i = 0; i < options.threads; ++i) threads_.emplace_back([this] { RunJobs(); });
}

EncoderPool::~EncoderPool() {
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
  }
  for (std::thread& thread : threads_) thread.join();
}

uint32_t EncoderPool::PostPreview(const std::shared_ptr<Strand>& strand, size_t bytes,
                                  PreviewJob job) {
  std::deque<Strand::Job> gave_way;  // Destroyed after the lock is released: jobs own pictures.
  absl::MutexLock lock(&mutex_);
  // Only previews: nothing is posted behind an image's final.
  size_t own_bytes = 0;
  for (const Strand::Job& older : strand->jobs) own_bytes += older.bytes;
  const size_t others_bytes = preview_bytes_ - own_bytes;
  if (others_bytes > 0 && others_bytes + bytes > options_.preview_bytes) {
    ++strand->skipped;
    return 1;
  }
  if (preview_bytes_ > 0 && preview_bytes_ + bytes > options_.preview_bytes) {
    gave_way.swap(strand->jobs);
    preview_bytes_ = others_bytes;
    for (const Strand::Job& older : gave_way) strand->skipped += older.skipped + 1;
  }
  Push(strand, {bytes, strand->skipped, std::move(job), nullptr});
  strand->skipped = 0;
  preview_bytes_ += bytes;
  return static_cast<uint32_t>(gave_way.size());
}

void EncoderPool::PostFinal(const std::shared_ptr<Strand>& strand, size_t bytes, FinalJob job) {
  absl::MutexLock lock(&mutex_);
  Push(strand, {bytes, 0, nullptr, std::move(job)});
}

size_t EncoderPool::preview_bytes() const {
  absl::MutexLock lock(&mutex_);
  return preview_bytes_;
}

absl::Duration EncoderPool::TimeFor(size_t bytes) const {
  return rate_.TimeFor(bytes) / options_.threads;
}

void EncoderPool::Push(const std::shared_ptr<Strand>& strand, Strand::Job job) {
  strand->jobs.push_back(std::move(job));
  if (strand->scheduled) return;
  try {
    runnable_.push_back(strand);
  } catch (...) {  // No memory: as if it had never come.
    strand->jobs.pop_back();
    throw;
  }
  strand->scheduled = true;
}

void EncoderPool::RunJobs() {
  const auto has_work = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return stopping_ || !runnable_.empty();
  };
  while (true) {
    std::shared_ptr<Strand> strand;
    Strand::Job job;
    {
      absl::MutexLock lock(&mutex_, absl::Condition(&has_work));
      if (runnable_.empty()) return;  // Stopping, and nothing waits.
      strand = std::move(runnable_.front());
      runnable_.pop_front();
      job = std::move(strand->jobs.front());
      strand->jobs.pop_front();
    }
    const absl::Time start =
        options_.clock == nullptr ? absl::InfinitePast() : options_.clock->Now();
    if (job.preview) {
      job.preview(job.skipped);
    } else {
      job.final();
    }
    if (options_.clock != nullptr) rate_.Add(job.bytes, options_.clock->Now() - start);
    const size_t preview_bytes = job.preview ? job.bytes : 0;
    job = {};  // The picture goes before its bytes are given back.
    absl::MutexLock lock(&mutex_);
    preview_bytes_ -= preview_bytes;
    strand->scheduled = !strand->jobs.empty();
    if (strand->scheduled) runnable_.push_back(std::move(strand));
  }
}

}  // namespace hmar
