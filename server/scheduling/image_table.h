#ifndef HMAR_SERVER_SCHEDULING_IMAGE_TABLE_H_
#define HMAR_SERVER_SCHEDULING_IMAGE_TABLE_H_

// Every image that the scheduler holds, and where it stands.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "model/engine.h"
#include "model/sampling_plan.h"
#include "server/scheduling/fair_queue.h"
#include "server/scheduling/work.h"

namespace hmar {

enum class ImageState {
  kWaiting,   // In the queue; no engine knows it.
  kRunning,   // Holds a slot; has passes left.
  kDecoding,  // Holds a slot; past its last pass, its picture is due.
};

// One image of a request.
struct ImageRecord {
  ImageId id = 0;
  WorkId work = 0;
  uint32_t index = 0;  // In its request.
  size_t model = 0;
  // Where it runs; while it waits, the only device that may take it, or nothing: any.
  std::optional<size_t> device;
  std::shared_ptr<const std::vector<Pass>> passes;  // Shared by the images of a request.
  size_t next_pass = 0;                             // Changed by ImageTable alone.
  // By scale, those that leave a FULL preview; null: none does.
  std::shared_ptr<const std::vector<bool>> full_previews;
  SideWork side;
  uint64_t last_step = 0;  // Number of the step it last took part in.
  int priority = 0;
  absl::Time due;  // Orders the images of its principal.
  OnDeadline on_deadline = OnDeadline::kFail;
  absl::Time answer_by = absl::InfiniteFuture();  // As CallOrigin::answer_by.
  uint32_t num_scales = 0;                        // That it is to have.
  std::optional<SamplingParams> degraded;         // What it is made with since it was truncated.
  Flow* flow = nullptr;
  absl::Time submitted;
  absl::Time started;                       // When its first step was planned.
  absl::Time ended;                         // When its last pass was booked.
  std::vector<ScaleCost> scales;            // Those it ran, in order.
  ImageState state = ImageState::kWaiting;  // Changed by ImageTable alone.

  // Forward rows of its next pass; 0 when none is left.
  uint32_t next_rows() const;
  // Pictures that its next pass leaves to the decoder.
  uint32_t next_pictures() const;
  // Forward rows of all passes that are left.
  uint64_t rows_left() const;
  // Books a pass that it ran in a step of `batch_images` images, its share of the step's time.
  void Charge(const PassReport& pass, double device_seconds, uint32_t batch_images);
};

// Who an image belongs to.
struct Principal {
  std::string name;
  double weight = 1;  // > 0.
};

// Images by id; which wait, by model and priority; which hold slots of each device; and the sums
// that plans and prices need, so that none of them walks what waits. Ids rise in the order of
// submission. Thread-compatible.
class ImageTable {
 public:
  using Priorities = std::map<int, FairQueue, std::greater<int>>;

  ImageTable(size_t devices, size_t models)
      : queues_(models), held_(devices, std::vector<Held>(models)) {}

  // Images of one model that hold slots of one device.
  struct Held {
    std::set<ImageId> running;
    std::set<ImageId> decoding;
    uint64_t rows = 0;  // Forward rows that they have left.
    uint32_t total() const { return static_cast<uint32_t>(running.size() + decoding.size()); }
  };

  // Adds an image under a new id; it waits. The reference holds until it is erased.
  ImageRecord& Add(ImageRecord image, const Principal& principal);
  // Null: no such image.
  ImageRecord* Find(ImageId id);
  const ImageRecord* Find(ImageId id) const;
  // A waiting image takes a slot of `device`.
  void Run(ImageRecord& image, size_t device);
  // A running image has had all passes before `next_pass`.
  void Advance(ImageRecord& image, size_t next_pass);
  // Books a step's time with the principals of those of its images that are here: of its forward by
  // the rows, of its decoder by the pictures of their next passes. Negative: takes back what was
  // booked too much.
  void Charge(const std::vector<ImageId>& ids, absl::Duration forward, absl::Duration decoding);
  // A running image ends after `scales` scales, without mask passes; as Engine::Truncate.
  // `sampling`: what it was made with until now.
  void Truncate(ImageRecord& image, uint32_t scales, const ModelConfig& config,
                const SamplingParams& sampling);
  // A running image has had its last pass.
  void Decode(ImageRecord& image, absl::Time now);
  void Erase(ImageId id);

  // Of one model; a priority that never had an image may be missing.
  const Priorities& priorities(size_t model) const { return queues_[model]; }
  // REQUIRES: the priority has had an image.
  FairQueue& queue(size_t model, int priority) { return queues_[model].at(priority); }

  // Of one principal, over all models and priorities.
  uint32_t waiting_of(const std::string& principal) const;
  // Principals that have images waiting.
  size_t waiting_principals() const { return waiting_of_.size(); }
  uint32_t waiting(size_t model) const;
  uint32_t waiting() const;
  const Held& held(size_t device, size_t model) const { return held_[device][model]; }
  uint32_t held() const;
  size_t size() const { return images_.size(); }

 private:
  void LeaveTheQueue(const std::string& principal);
  Held& HeldWith(const ImageRecord& image) { return held_[*image.device][image.model]; }

  ImageId next_id_ = 1;
  std::map<ImageId, ImageRecord> images_;
  std::vector<Priorities> queues_;       // By model.
  std::vector<std::vector<Held>> held_;  // By device and model.
  std::map<std::string, uint32_t> waiting_of_;
};

}  // namespace hmar

#endif  // HMAR_SERVER_SCHEDULING_IMAGE_TABLE_H_
