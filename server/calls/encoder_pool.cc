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
  uint32_t skipped = 0;
  if (preview_bytes_ + bytes > options_.preview_bytes) {
    gave_way.swap(strand->jobs);  // Only previews: nothing is posted behind an image's final.
    for (const Strand::Job& older : gave_way) {
      preview_bytes_ -= older.bytes;
      skipped += older.skipped + 1;
    }
  }
  Push(strand, {bytes, skipped, std::move(job), nullptr});
  preview_bytes_ += bytes;
  return static_cast<uint32_t>(gave_way.size());
}

void EncoderPool::PostFinal(const std::shared_ptr<Strand>& strand, size_t bytes, FinalJob job) {
  absl::MutexLock lock(&mutex_);
  Push(strand, {bytes, 0, nullptr, std::move(job)});
  final_bytes_ += bytes;
}

size_t EncoderPool::waiting_bytes() const {
  absl::MutexLock lock(&mutex_);
  return preview_bytes_ + final_bytes_;
}

absl::Duration EncoderPool::backlog_time() const {
  return rate_.TimeFor(waiting_bytes()) / options_.threads;
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
    const bool was_preview = static_cast<bool>(job.preview);
    const size_t bytes = job.bytes;
    job = {};  // The picture goes before its bytes are given back.
    absl::MutexLock lock(&mutex_);
    (was_preview ? preview_bytes_ : final_bytes_) -= bytes;
    strand->scheduled = !strand->jobs.empty();
    if (strand->scheduled) runnable_.push_back(std::move(strand));
  }
}

}  // namespace hmar
