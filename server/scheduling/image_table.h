#ifndef HMAR_SERVER_SCHEDULING_IMAGE_TABLE_H_
#define HMAR_SERVER_SCHEDULING_IMAGE_TABLE_H_

// Every image that the scheduler holds, and where it stands.

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "absl/time/time.h"
#include "model/engine.h"
#include "model/sampling_plan.h"
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
  size_t next_pass = 0;
  uint64_t last_step = 0;  // Number of the step it last took part in.
  absl::Time submitted;
  absl::Time started;                       // When its first step was planned.
  std::vector<ScaleCost> scales;            // Those it ran, in order.
  ImageState state = ImageState::kWaiting;  // Changed by ImageTable alone.

  // Forward rows of its next pass; 0 when none is left.
  uint32_t next_rows() const;
  // Forward rows of all passes that are left.
  uint64_t rows_left() const;
  // Books a pass that it ran in a step of `batch_images` images, its share of the step's time.
  void Charge(const PassReport& pass, double device_seconds, uint32_t batch_images);
};

// Images by id, and how many of each model are in each state on each device. Ids rise, so iteration
// is in the order of submission. Thread-compatible.
class ImageTable {
 public:
  ImageTable(size_t devices, size_t models)
      : waiting_(models), held_(devices, std::vector<Held>(models)) {}

  // Images of one model that hold slots of one device.
  struct Held {
    uint32_t running = 0;
    uint32_t decoding = 0;
    uint32_t total() const { return running + decoding; }
  };

  // Adds an image under a new id. The reference holds until it is erased.
  ImageRecord& Add(ImageRecord image);
  // Null: no such image.
  ImageRecord* Find(ImageId id);
  // A waiting image takes a slot of `device`.
  void Run(ImageRecord& image, size_t device);
  // A running image has had its last pass.
  void Decode(ImageRecord& image);
  void Erase(ImageId id);

  // Ids of a model's images on `device` whose pictures are due, in the order of submission.
  std::vector<ImageId> Decoding(size_t device, size_t model) const;

  uint32_t waiting(size_t model) const { return waiting_[model]; }
  uint32_t waiting() const;
  const Held& held(size_t device, size_t model) const { return held_[device][model]; }
  uint32_t held() const;
  size_t size() const { return images_.size(); }

  auto begin() const { return images_.begin(); }
  auto end() const { return images_.end(); }

 private:
  uint32_t& CountOf(const ImageRecord& image);
  void SetState(ImageRecord& image, ImageState state);

  ImageId next_id_ = 1;
  std::map<ImageId, ImageRecord> images_;
  std::vector<uint32_t> waiting_;        // By model.
  std::vector<std::vector<Held>> held_;  // By device and model.
};

}  // namespace hmar

#endif  // HMAR_SERVER_SCHEDULING_IMAGE_TABLE_H_
