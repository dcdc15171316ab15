#ifndef HMAR_CLIENT_LOAD_RECORDER_H_
#define HMAR_CLIENT_LOAD_RECORDER_H_

// Turns the results of calls into a RunReport. Pure; not thread-safe.

#include <cstdint>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "client/load/call_result.h"
#include "client/load/report.h"
#include "client/load/samples.h"

namespace hmar::load {

inline constexpr size_t kMaxSamples = 1'000'000;  // Of each sort; of all kinds together as many.
inline constexpr size_t kMaxReasons = 64;         // Different errors of a kind; more are "OTHERS".

class Recorder {
 public:
  // Calls that are due before `warm_up` are left out, except for their images in the sustained rate
  // and in the images over time. `slo_ms` 0: none.
  Recorder(const std::vector<std::string>& kinds, absl::Duration warm_up, double slo_ms,
           size_t max_samples = kMaxSamples);

  void NotSent(size_t kind, absl::Duration due);
  void Add(const CallResult& result);

  // REQUIRES: no call is open. `last_sent`: when the last call was sent.
  RunReport Finish(absl::Duration last_sent) const;

 private:
  struct Counts {
    explicit Counts(size_t max_samples)
        : latency_ms(max_samples),
          accepted_ms(max_samples),
          first_preview_ms(max_samples),
          refusal_ms(max_samples),
          estimate_ratio(max_samples) {}

    Summary summary;
    Samples latency_ms;
    Samples accepted_ms;
    Samples first_preview_ms;
    Samples refusal_ms;
    Samples estimate_ratio;
  };

  void AddTo(const CallResult& result, Counts& counts) const;
  void AddTimes(const CallResult& result, Counts& counts) const;
  void AddImages(const CallResult& result);
  Summary SummaryOf(const Counts& counts, double measured_seconds) const;

  const absl::Duration warm_up_;
  const double slo_ms_;
  Counts all_;
  std::vector<Counts> kinds_;
  Samples late_ms_;
  absl::Duration last_end_;
  std::vector<uint64_t> images_;  // By kSlice of the time from the start.
};

}  // namespace hmar::load

#endif  // HMAR_CLIENT_LOAD_RECORDER_H_
