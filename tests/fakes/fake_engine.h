#ifndef HMAR_TESTS_FAKES_FAKE_ENGINE_H_
#define HMAR_TESTS_FAKES_FAKE_ENGINE_H_

// An engine without a model: it follows the sampling plan and makes small pictures out of each
// task's numbers. Reports are as model/engine.h says, so whatever is tested on it meets the real
// engine's order of events.

#include <cstdint>
#include <deque>
#include <functional>
#include <limits>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "model/engine.h"
#include "model/sampling_plan.h"
#include "tests/fakes/engine_lies.h"

namespace hmar {

// What a fake model holds: grids of 1, 2 and 3 tokens a side (5 passes: the 3 x 3 scale takes
// three), 12 x 12 pixels, vocabulary 64, classes "cat", "dog", "ship".
EngineInfo FakeEngineInfo(const std::string& name = "fake", uint32_t max_images = 8);

// A valid task: guided, with a class, the model's sampling.
ImageTask FakeTask(const EngineInfo& info, uint64_t seed = 0);

// The picture and the tokens that a FakeEngine makes of this task: functions of the task and the
// model's name alone. A truncated image has the FULL preview of its last scale for a picture.
Picture FakePicture(const EngineInfo& info, const ImageTask& task);
std::vector<TokenMap> FakeTokens(const EngineInfo& info, const ImageTask& task);

// The tokens that a FakeEngine gives a source image: a function of its pixels.
TokenPyramid FakeEncoding(const EngineInfo& info, const Picture& picture);

// The preview of a scale: FAST at 4 pixels a token of the last grid, FULL at the model's size.
Picture FakePreview(const EngineInfo& info, const ImageTask& task, uint32_t scale);

// What an engine's call throws in place of an answer.
enum class FakeThrow { kBadAlloc, kRuntimeError };

// What goes wrong, and when. A task's seed chooses the victims.
struct FakeFaults {
  // Admit: INTERNAL.
  std::set<uint64_t> refuse_seeds = {};
  // Every Step that has one of them: INTERNAL, nobody advances.
  std::set<uint64_t> step_fails_seeds = {};
  // Reported in failures at their second pass; the others advance.
  std::set<uint64_t> non_finite_seeds = {};
  // As an engine that works ahead of its device: failures come this many Steps later, the image
  // running on until then, also past its last pass; at 0 they come at once.
  uint32_t failure_delay_steps = 0;
  // A larger Step: RESOURCE_EXHAUSTED, nobody advances.
  uint32_t max_step_images = std::numeric_limits<uint32_t>::max();
  // Pictures come this many Steps after the one that says `last`, or at once to a Step without ids.
  uint32_t picture_delay_steps = 0;
  // Previews come this many Steps after their scale's last pass, or at once before their image's
  // picture.
  uint32_t preview_delay_steps = 0;
  // An Encode of more pictures: RESOURCE_EXHAUSTED.
  size_t max_encode_pictures = std::numeric_limits<size_t>::max();
  // An Encode of a picture whose first byte is one of these: INTERNAL.
  std::set<uint8_t> encode_fails_bytes = {};
  // After this many Steps the next one hangs, until this is set to more.
  uint64_t hang_after_steps = std::numeric_limits<uint64_t>::max();
  // Admit of such a seed, or every Step that has one of them, throws; nobody advances.
  std::map<uint64_t, FakeThrow> admit_throws = {};
  std::map<uint64_t, FakeThrow> step_throws = {};
  // An Encode of a picture whose first byte is one of these.
  std::map<uint8_t, FakeThrow> encode_throws = {};
  // Reports about images of these seeds are wrong.
  std::map<uint64_t, EngineLie> lies = {};
  // An Encode leaves out the tokens of pictures with these first bytes, or one map of them.
  std::set<uint8_t> encode_omits_bytes = {};
  std::set<uint8_t> encode_cuts_bytes = {};
  // Slow: runs at the start of each Step, without locks.
  std::function<void()> during_step = nullptr;
  // The device is lost after this many Steps: every later call says UNAVAILABLE.
  uint64_t lost_after_steps = std::numeric_limits<uint64_t>::max();
};

// Checks its caller: a broken rule of engine.h (an id twice, unknown, or past its last pass; an
// image too many) is a failure of the running test besides the status that engine.h promises.
// Everything but the engine's own calls is safe from any thread.
class FakeEngine final : public Engine {
 public:
  // One call, as it came. `ids` of Admit, Cancel and Truncate has one entry, of Encode none.
  struct Call {
    enum Kind { kAdmit, kCancel, kTruncate, kStep, kEncode } kind;
    std::vector<ImageId> ids;
    std::vector<uint64_t> seeds;  // Of those ids that are held.
    bool ok = true;               // What it returned.
    size_t pictures = 0;          // Of Encode.
  };

  explicit FakeEngine(EngineInfo info = FakeEngineInfo(), FakeFaults faults = {});
  ~FakeEngine() override;

  const EngineInfo& info() const override { return info_; }
  absl::Status Admit(ImageId id, ImageTask task) override;
  void Cancel(ImageId id) override;
  absl::Status Truncate(ImageId id, uint32_t scales) override;
  absl::StatusOr<StepReport> Step(absl::Span<const ImageId> ids) override;
  absl::StatusOr<std::vector<TokenPyramid>> Encode(
      absl::Span<const Picture* const> pictures) override;

  // While the gate is closed, Step blocks at its start. Open at first.
  void CloseGate();
  void OpenGate();

  // Waits until a Step stands at the closed gate; false if none does within 30 s.
  bool AwaitStepAtGate();

  void SetFaults(FakeFaults faults);

  std::vector<Call> calls() const;
  std::vector<Call> steps() const;  // The Step calls only.
  size_t images_held() const;

 private:
  struct Held {
    ImageTask task;
    int scales = 0;  // That it is to have.
    std::vector<Pass> passes;
    size_t next_pass = 0;
    bool decoding = false;  // Past its last pass; its picture is due in step number picture_step.
    uint64_t picture_step = 0;
    std::optional<uint64_t> failure_step;  // It failed; that is reported in this step.
    std::deque<std::pair<uint32_t, uint64_t>> previews;  // Scales, each with the step it is due in.
  };

  std::function<void()> DuringStep() const;
  absl::Status CheckStep(absl::Span<const ImageId> ids) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status CheckDevice() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Advance(ImageId id, Held& held, StepReport& report) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Scales [first, last) are settled: those that are to leave a preview will.
  void OrderPreviews(Held& held, int first, int last) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  ImageReport Finished(ImageId id, const Held& held) const;
  // Reports what is due of the images held; with `wait`, the first picture (or its failure) also
  // before its time.
  void Deliver(bool wait, StepReport& report) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void DeliverPreviews(ImageId id, Held& held, bool all, StepReport& report)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Throws, if one of `ids` is to.
  void ThrowInStep(absl::Span<const ImageId> ids) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // The lies that are due, by the images they are about.
  std::map<ImageId, EngineLie> Lies() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Record(Call::Kind kind, absl::Span<const ImageId> ids, bool ok)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const EngineInfo info_;
  mutable absl::Mutex mutex_;
  FakeFaults faults_ ABSL_GUARDED_BY(mutex_);
  std::map<ImageId, Held> held_ ABSL_GUARDED_BY(mutex_);
  std::vector<Call> calls_ ABSL_GUARDED_BY(mutex_);
  uint64_t step_count_ ABSL_GUARDED_BY(mutex_) = 0;
  bool gate_open_ ABSL_GUARDED_BY(mutex_) = true;
  bool step_at_gate_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace hmar

#endif  // HMAR_TESTS_FAKES_FAKE_ENGINE_H_
