#ifndef HMAR_SERVER_SCHEDULING_WORK_H_
#define HMAR_SERVER_SCHEDULING_WORK_H_

// What passes between the service, the scheduler and the engine loop: plain structs, no proto, no
// tensor.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "model/engine.h"
#include "server/operations/metrics.h"

namespace hmar {

// Names a submitted request. Never reused.
using WorkId = uint64_t;

// What one scale of one image cost.
struct ScaleCost {
  uint32_t scale = 0;
  uint32_t passes = 0;
  // This image's share, by rows, of the steps it took part in.
  double device_seconds = 0;
  // Largest number of images that shared a step with it, itself included.
  uint32_t max_batch_images = 0;
};

// A finished image and what it cost.
struct FinishedImage {
  Picture picture;
  std::vector<TokenMap> tokens;  // Of every scale that it has.
  // It ended early: what it was made with. Absent: as asked.
  std::optional<SamplingParams> degraded;
  std::vector<ScaleCost> scales;
  absl::Duration queued;  // From Submit to its first step.
  absl::Duration ran;     // From its first step to its picture.
};

// The completion that travels with a request's images. Called one call at a time for one request,
// never with a lock held, by the thread that brings the news: the engine loop's, or Stop's caller.
// (Where both meet, one of them makes the other's call after its own.) An implementation must
// return fast and must not block; it may call the scheduler. After OnFailed nothing more is called.
class WorkListener {
 public:
  virtual ~WorkListener() = default;

  // Scale `scale` of the request's image `index` is settled and asked for a preview. In scale order
  // for one image.
  virtual void OnPreview(uint32_t index, uint32_t scale, Picture picture) = 0;

  // Image `index` is done. Once an image.
  virtual void OnImage(uint32_t index, FinishedImage image) = 0;

  // The request failed as a whole (a failed image, a stopped server); its other images are dropped.
  virtual void OnFailed(const absl::Status& status) = 0;
};

// The picture that an edit starts from, decoded and of the model's size. Never changed once made.
struct EditPicture {
  Picture picture;     // S x S.
  std::string digest;  // SHA-256 of its pixels.
};

// What becomes of images whose deadline cannot be met.
enum class OnDeadline {
  kFail,     // They fail when it passes.
  kRefuse,   // The request fails as soon as the estimate says that it will be late.
  kDegrade,  // They end early, with fewer passes and scales than asked for (early_end.h).
};

// What a request asks of the engines: image i is `prototype` with seed prototype.seed + i (modulo
// 2^64).
struct Job {
  size_t model = 0;     // Index in the catalog.
  uint32_t images = 1;  // At least 1.
  ImageTask prototype;
  int priority = 0;  // kMinPriority .. kMaxPriority; higher first.
  OnDeadline on_deadline = OnDeadline::kFail;
};

inline constexpr int kMinPriority = -10;
inline constexpr int kMaxPriority = 10;

// Who asks, and until when.
struct CallOrigin {
  std::string client;  // The principal: who shares the devices with others as one.
  absl::Time deadline = absl::InfiniteFuture();
  // By then an answer must have left to come in time: before the deadline, by what the way takes.
  absl::Time answer_by = absl::InfiniteFuture();
  double weight = 1;                          // > 0: the principal's share beside others'.
  std::optional<uint32_t> max_queued_images;  // The principal's own bound; nothing: as all have.
  PrincipalMeter* meter = nullptr;            // Hears what its images ran; null: nobody does.
};

// A job on its way through the scheduler.
struct Work {
  // Of an edit, prototype.given may still be missing: the first step of its images finds it from
  // `picture`.
  Job job;
  CallOrigin origin;
  std::shared_ptr<const EditPicture> picture;  // Null: no edit.
  std::optional<size_t> device;  // The only device that may run it (a probe's); else any.
  // The server's own: taken before clients' work is, and left out of what is counted for clients.
  bool probe = false;
  std::shared_ptr<WorkListener> listener;
};

}  // namespace hmar

#endif  // HMAR_SERVER_SCHEDULING_WORK_H_
