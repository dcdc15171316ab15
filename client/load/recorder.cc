#include "client/load/recorder.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

namespace hmar::load {
namespace {

// Images are counted by slices of time, so that a day of them takes 7 MB.
constexpr absl::Duration kSlice = absl::Milliseconds(100);
constexpr size_t kMaxSlices = 864'000;
constexpr size_t kMaxBuckets = 300;

double Ms(absl::Duration duration) { return absl::ToDoubleMilliseconds(duration); }

size_t SliceOf(absl::Duration time) {
  const auto slice = std::max<int64_t>(absl::ToInt64Milliseconds(time) / 100, 0);
  return std::min(static_cast<size_t>(slice), kMaxSlices - 1);
}

bool IsOk(const CallResult& result) {
  return result.end == CallEnd::kServer && result.status.ok() && result.mismatched == 0;
}

// A server's no, before it took the call.
bool IsRefusal(const CallResult& result) {
  if (result.end != CallEnd::kServer || result.accepted || !result.images.empty()) return false;
  switch (result.status.code()) {
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kNotFound:
    case absl::StatusCode::kPermissionDenied:
    case absl::StatusCode::kUnauthenticated:
    case absl::StatusCode::kResourceExhausted:
    case absl::StatusCode::kFailedPrecondition:
    case absl::StatusCode::kUnimplemented:
    case absl::StatusCode::kUnavailable:
      return true;
    default:
      return false;
  }
}

void CountError(const CallResult& result, Summary& summary) {
  ++summary.failed;
  summary.no_answer += result.no_answer ? 1 : 0;
  summary.mismatched += result.mismatched > 0 ? 1 : 0;
  std::pair<std::string, std::string> key(absl::StatusCodeToString(result.status.code()),
                                          result.reason);
  if (result.mismatched > 0) key = {"MISMATCH", ""};
  if (!summary.errors.contains(key) && summary.errors.size() >= kMaxReasons) key = {"OTHERS", ""};
  ++summary.errors[key];
}

void CountEnd(const CallResult& result, Summary& summary) {
  switch (result.end) {
    case CallEnd::kServer:
      return IsOk(result) ? void(++summary.ok) : CountError(result, summary);
    case CallEnd::kCancelled:
      ++summary.cancelled;
      return;
    case CallEnd::kTimedOut:
      ++summary.timed_out;
      return;
    case CallEnd::kInterrupted:
      ++summary.interrupted;
      return;
  }
}

// Slices joined to at most kMaxBuckets of whole slices, a second long or more.
void FillBuckets(const std::vector<uint64_t>& slices, RunReport& run) {
  size_t width = 10;
  while (slices.size() > width * kMaxBuckets) width *= 2;
  run.bucket_seconds = static_cast<double>(width) * absl::ToDoubleSeconds(kSlice);
  run.images_by_bucket.assign((slices.size() + width - 1) / width, 0);
  for (size_t i = 0; i < slices.size(); ++i) run.images_by_bucket[i / width] += slices[i];
}

}  // namespace

Recorder::Recorder(const std::vector<std::string>& kinds, absl::Duration warm_up, double slo_ms,
                   size_t max_samples)
    : warm_up_(warm_up), slo_ms_(slo_ms), all_(max_samples), late_ms_(max_samples) {
  all_.summary.name = "all";
  for (const std::string& kind : kinds) {
    kinds_.emplace_back(std::max<size_t>(max_samples / kinds.size(), 1)).summary.name = kind;
  }
}

void Recorder::NotSent(size_t kind, absl::Duration due) {
  if (due < warm_up_) return;
  for (Counts* counts : {&all_, &kinds_[kind]}) {
    ++counts->summary.due;
    ++counts->summary.not_sent;
  }
}

void Recorder::Add(const CallResult& result) {
  AddImages(result);
  if (result.due < warm_up_) return;
  late_ms_.Add(Ms(result.sent - result.due));
  last_end_ = std::max(last_end_, result.ended);
  AddTo(result, all_);
  AddTo(result, kinds_[result.kind]);
}

void Recorder::AddImages(const CallResult& result) {
  for (const absl::Duration time : result.images) {
    const size_t slice = SliceOf(time);
    if (slice >= images_.size()) images_.resize(slice + 1);
    ++images_[slice];
  }
}

void Recorder::AddTo(const CallResult& result, Counts& counts) const {
  Summary& summary = counts.summary;
  ++summary.due;
  ++summary.sent;
  summary.images += result.images.size();
  CountEnd(result, summary);
  AddTimes(result, counts);
  if (!IsOk(result)) return;
  summary.degraded += result.degraded > 0 ? 1 : 0;
  summary.good += slo_ms_ > 0 && Ms(result.ended - result.due) <= slo_ms_ ? 1 : 0;
}

void Recorder::AddTimes(const CallResult& result, Counts& counts) const {
  if (result.accepted) counts.accepted_ms.Add(Ms(*result.accepted - result.due));
  if (result.first_preview) counts.first_preview_ms.Add(Ms(*result.first_preview - result.due));
  if (IsRefusal(result)) counts.refusal_ms.Add(Ms(result.ended - result.due));
  if (!IsOk(result)) return;
  counts.latency_ms.Add(Ms(result.ended - result.due));
  if (!result.accepted || !result.estimated) return;
  const absl::Duration took = result.ended - *result.accepted;
  if (took > absl::ZeroDuration()) {
    counts.estimate_ratio.Add(absl::FDivDuration(*result.estimated, took));
  }
}

Summary Recorder::SummaryOf(const Counts& counts, double measured_seconds) const {
  Summary summary = counts.summary;
  summary.latency_ms = counts.latency_ms.Summarize();
  summary.accepted_ms = counts.accepted_ms.Summarize();
  summary.first_preview_ms = counts.first_preview_ms.Summarize();
  summary.refusal_ms = counts.refusal_ms.Summarize();
  summary.estimate_ratio = counts.estimate_ratio.Summarize();
  if (measured_seconds > 0) {
    summary.images_per_second = static_cast<double>(summary.images) / measured_seconds;
    summary.good_per_second = static_cast<double>(summary.good) / measured_seconds;
  }
  return summary;
}

RunReport Recorder::Finish(absl::Duration last_sent) const {
  RunReport run;
  run.sending_seconds = std::max(0.0, absl::ToDoubleSeconds(last_sent - warm_up_));
  run.measured_seconds = std::max(run.sending_seconds, absl::ToDoubleSeconds(last_end_ - warm_up_));
  // Whole slices inside the time of sending.
  const size_t from = SliceOf(warm_up_ + kSlice - absl::Nanoseconds(1));
  const size_t to = std::min(SliceOf(last_sent), images_.size());
  uint64_t sustained = 0;
  for (size_t i = from; i < to; ++i) sustained += images_[i];
  if (const size_t end = SliceOf(last_sent); end > from) {
    run.sustained_images_per_second =
        static_cast<double>(sustained) /
        (static_cast<double>(end - from) * absl::ToDoubleSeconds(kSlice));
  }
  run.late_ms = late_ms_.Summarize();
  FillBuckets(images_, run);
  run.all = SummaryOf(all_, run.measured_seconds);
  for (const Counts& kind : kinds_) run.kinds.push_back(SummaryOf(kind, run.measured_seconds));
  return run;
}

}  // namespace hmar::load
