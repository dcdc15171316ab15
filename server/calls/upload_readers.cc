#include "server/calls/upload_readers.h"

#include <algorithm>
#include <utility>

#include "server/base/available_cores.h"

namespace hmar {
namespace {

constexpr double kGuessedBytesPerSecond = 50e6;  // Decoded, of one thread.

int ThreadCount(int wanted) {
  if (wanted > 0) return wanted;
  return std::clamp(static_cast<int>(AvailableCores() / 2), 2, 16);
}

// Whose turn it is. REQUIRES: somebody waits.
template <typename Lane>
auto NextClient(Lane& lane) {
  const auto next = lane.waiting.upper_bound(lane.last_client);
  return next == lane.waiting.end() ? lane.waiting.begin() : next;
}

}  // namespace

UploadReaders::UploadReaders(const UploadReadersOptions& options)
    : thread_count_(ThreadCount(options.threads)),
      clock_(options.clock),
      small_bytes_(options.decoded_bytes / 16),
      large_bytes_(options.decoded_bytes - options.decoded_bytes / 4),
      rate_(kGuessedBytesPerSecond) {
  {
    absl::MutexLock lock(&mutex_);
    small_.limit_bytes = options.decoded_bytes / 4;
    small_.max_running = thread_count_;
    large_.limit_bytes = large_bytes_;
    large_.max_running = std::max(1, thread_count_ - 1);
  }
  for (int i = 0; i < thread_count_; ++i) threads_.emplace_back([this] { Read(); });
}

UploadReaders::~UploadReaders() {
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
    ending_ = true;
  }
  for (std::thread& thread : threads_) thread.join();
}

UploadReaders::Ticket UploadReaders::Post(Upload upload) {
  absl::MutexLock lock(&mutex_);
  Ticket ticket{upload.decoded_bytes > small_bytes_, upload.client, ++last_number_};
  backlog_bytes_ += upload.decoded_bytes;
  LaneOf(ticket.large).waiting[ticket.client].emplace(ticket.number, std::move(upload));
  return ticket;
}

bool UploadReaders::Forget(const Ticket& ticket) {
  std::optional<Upload> forgotten;  // Destroyed after the lock is released.
  absl::MutexLock lock(&mutex_);
  Lane& lane = LaneOf(ticket.large);
  const auto client = lane.waiting.find(ticket.client);
  if (client == lane.waiting.end()) return false;
  auto upload = client->second.extract(ticket.number);
  if (upload.empty()) return false;
  if (client->second.empty()) lane.waiting.erase(client);
  forgotten = std::move(upload.mapped());
  backlog_bytes_ -= forgotten->decoded_bytes;
  return true;
}

void UploadReaders::Stop() {
  absl::MutexLock lock(&mutex_);
  stopping_ = true;
}

absl::Duration UploadReaders::backlog_time() const {
  absl::MutexLock lock(&mutex_);
  return rate_.TimeFor(backlog_bytes_) / thread_count_;
}

bool UploadReaders::MayRun(const Lane& lane) const {
  if (lane.waiting.empty()) return false;
  if (stopping_) return true;
  const size_t next_bytes = NextClient(lane)->second.begin()->second.decoded_bytes;
  return lane.running < lane.max_running && lane.held_bytes + next_bytes <= lane.limit_bytes;
}

UploadReaders::Lane* UploadReaders::NextLane() {
  const bool small = MayRun(small_), large = MayRun(large_);
  if (large && !(small && large_was_last_)) return &large_;
  return small ? &small_ : nullptr;
}

UploadReaders::Upload UploadReaders::TakeNext(Lane* lane) {
  const auto client = NextClient(*lane);
  Upload upload = std::move(client->second.extract(client->second.begin()).mapped());
  lane->last_client = client->first;
  if (client->second.empty()) lane->waiting.erase(client);
  large_was_last_ = lane == &large_;
  lane->held_bytes += upload.decoded_bytes;
  ++lane->running;
  return upload;
}

void UploadReaders::Read() {
  const auto has_work = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return ending_ || NextLane() != nullptr;
  };
  while (true) {
    Lane* lane = nullptr;
    Upload upload;
    {
      absl::MutexLock lock(&mutex_, absl::Condition(&has_work));
      lane = NextLane();
      if (lane == nullptr) return;  // Ending, and nothing waits.
      upload = TakeNext(lane);
    }
    const absl::Time start = clock_ == nullptr ? absl::InfinitePast() : clock_->Now();
    const bool whole = upload.read();
    upload.read = nullptr;  // What it holds goes before its bytes are given back.
    if (whole && clock_ != nullptr) rate_.Add(upload.decoded_bytes, clock_->Now() - start);
    absl::MutexLock lock(&mutex_);
    lane->held_bytes -= upload.decoded_bytes;
    --lane->running;
    backlog_bytes_ -= upload.decoded_bytes;
  }
}

}  // namespace hmar
