#ifndef HMAR_CLIENT_LOAD_LOAD_RUN_H_
#define HMAR_CLIENT_LOAD_LOAD_RUN_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "client/load/call.h"
#include "client/load/channels.h"
#include "client/load/mix.h"
#include "client/load/recorder.h"
#include "client/load/request_maker.h"
#include "client/load/schedule.h"
#include "client/load/seen.h"
#include "client/load/timers.h"

namespace hmar::load {

// How a load is sent. One of rate and concurrency, one of duration and requests.
struct LoadShape {
  std::optional<double> rate;  // Calls a second: an open loop.
  Arrivals arrivals = Arrivals::kPoisson;
  uint32_t concurrency = 0;                // Calls in flight: a closed loop.
  uint32_t max_outstanding = 1024;         // Open loop: a call that is due beyond them is not sent.
  std::optional<absl::Duration> duration;  // After the warm-up.
  std::optional<uint64_t> requests;        // That are due after the warm-up.
  absl::Duration warm_up;
  absl::Duration timeout;
  uint64_t seed = 0;
  uint64_t distinct_seeds = 0;
  double slo_ms = 0;
};

// Says that the user wants it to end. Thread-safe.
class StopSignal {
 public:
  void Stop();
  bool stopped() const;

  // `on_stop` is called at Stop, and at once if that was before; null: nothing more.
  void OnStop(std::function<void()> on_stop);

 private:
  mutable absl::Mutex mutex_;
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
  std::function<void()> on_stop_ ABSL_GUARDED_BY(mutex_);
};

// What a load needs; all of it outlives the load.
struct LoadParts {
  const std::vector<Kind>& kinds;
  const std::vector<RequestMaker>& makers;  // One a kind.
  Channels& channels;
  ImageMemory* memory;  // Null: bytes are not compared.
  StopSignal& stop;
  const std::vector<std::string>& keys;  // One a kind (client/api_key.h); "": none.
};

// One load from its first call to the end of its last. Calls are sent from the thread that runs it;
// their answers are taken on gRPC's. Whatever a call does, later ones are sent when they are due.
class LoadRun {
 public:
  LoadRun(const LoadShape& shape, const LoadParts& parts);

  // Once. Blocks until every call has ended: no longer than duration and timeout, or until shortly
  // after Stop. All results, of the warm-up too, go to `seen`.
  RunReport Execute(Seen& seen);

 private:
  void Send();
  bool WaitUntil(absl::Duration due);
  bool WaitForSlot();
  bool IsOver(absl::Duration due, uint64_t counted) const;
  void StartCall(const PlannedCall& planned, absl::Duration due);
  bool HasRoom() const;
  void OnCallDone(std::shared_ptr<Call> call, const CallResult& result);
  void DropEnded();
  void OnStop();
  absl::Duration SendingEnd() const;

  const LoadShape shape_;
  const LoadParts parts_;
  const Stopwatch clock_;
  mutable absl::Mutex mutex_;
  absl::CondVar news_;  // A call ended, or the load was stopped.
  Recorder recorder_ ABSL_GUARDED_BY(mutex_);
  Seen seen_ ABSL_GUARDED_BY(mutex_);
  std::map<std::shared_ptr<Call>, Channels::Lease> open_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::shared_ptr<Call>> ended_ ABSL_GUARDED_BY(mutex_);  // For DropEnded.
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
  Timers timers_{clock_};  // The last: its thread uses the others.
};

}  // namespace hmar::load

#endif  // HMAR_CLIENT_LOAD_LOAD_RUN_H_
