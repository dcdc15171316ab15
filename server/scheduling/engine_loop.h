#ifndef HMAR_SERVER_SCHEDULING_ENGINE_LOOP_H_
#define HMAR_SERVER_SCHEDULING_ENGINE_LOOP_H_

#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "model/engine.h"
#include "server/scheduling/scheduler.h"

namespace hmar {

class HangWatcher;
class Metrics;

// What an engine loop tells of itself. All may be left out.
struct EngineLoopHooks {
  // Called once, on the loop's thread, with what the engine said when its device was lost. By its
  // return the scheduler must have been stopped; null: the loop stops it.
  std::function<void(const absl::Status&)> on_lost = nullptr;
  // See checked_engine.h.
  std::function<void(const std::string&)> on_fault = nullptr;
  // Told when the loop's device is busy; outlives the loop.
  HangWatcher* hang_watcher = nullptr;
};

// The one thread of a device: it owns the engines of that device's models and runs what the
// scheduler plans, step by step, until the scheduler says that there will be no more. It decides
// nothing and keeps no queue.
//
// Engines may fail in any way but one: what they throw and what they misreport fails the images
// that it is about (checked_engine.h). An engine that does not return holds the thread for good;
// the hang watcher tells. A lost device (engine.h: UNAVAILABLE) ends the loop: it says so to its
// owner and asks the engines for nothing more.
//
// Order of life: construct, Start, ... Scheduler::Stop or BeginDrain from any thread, Join. An
// EngineLoop that was never started may be destroyed at once; the destructor of a started one
// joins, so the scheduler must have been told to end.
class EngineLoop {
 public:
  // The loop of device `device`; `engines` by model index, as in SchedulerOptions::devices.
  // `scheduler` and `metrics` (may be null) outlive the loop.
  EngineLoop(Scheduler* scheduler, size_t device, std::vector<std::unique_ptr<Engine>> engines,
             Metrics* metrics, EngineLoopHooks hooks = {});
  ~EngineLoop();

  EngineLoop(const EngineLoop&) = delete;
  EngineLoop& operator=(const EngineLoop&) = delete;

  // Starts the thread. From now on the engines belong to it. Call once.
  void Start();

  // Waits until the thread has run its last step: after Scheduler::Stop the one under way, after
  // BeginDrain all that was accepted. Returns at once if it was never started. Call from one thread
  // only.
  void Join();

  // Runs one planned step on the engines and gives its report to the scheduler. What the thread
  // does over and over; without a thread, tests drive the loop with it.
  void RunStep(PlannedStep step);

 private:
  // Lets go of cancelled images and takes new ones in. Those that cannot be are kept in refused_
  // until a report can carry them. UNAVAILABLE: the device is lost.
  absl::Status Prepare(PlannedStep& step);
  // Prepares and executes, watched.
  absl::StatusOr<StepReport> Run(PlannedStep& step, absl::Duration* took);
  // Tells the hang watcher; zero: nobody knows how long.
  void Busy(absl::Duration expected);
  absl::Status TokenizePictures(Engine& engine, PlannedStep& step);
  std::vector<absl::StatusOr<TokenPyramid>> Tokenize(Engine& engine, size_t model,
                                                     absl::Span<const Picture* const> pictures,
                                                     absl::Duration* took);
  absl::Status Admit(Engine& engine, PlannedStep& step);
  absl::Status Truncate(Engine& engine, const PlannedStep& step);
  absl::StatusOr<StepReport> Execute(const PlannedStep& step);

  Scheduler* const scheduler_;
  const size_t device_;
  Metrics* const metrics_;
  const EngineLoopHooks hooks_;
  std::vector<std::unique_ptr<Engine>> engines_;        // The loop's thread only, once started.
  absl::flat_hash_map<ImageId, absl::Status> refused_;  // Likewise.
  std::thread thread_;
};

}  // namespace hmar

#endif  // HMAR_SERVER_SCHEDULING_ENGINE_LOOP_H_
