#ifndef HMAR_SERVER_IMAGE_TABLE_H_
#define HMAR_SERVER_IMAGE_TABLE_H_

// Every image that the scheduler holds, and where it stands.

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <vector>

#include "absl/time/time.h"
#include "model/engine.h"
#include "model/sampling_plan.h"
#include "server/scheduler.h"
#include "server/work.h"

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
  std::shared_ptr<const std::vector<Pass>> passes;  // Shared by the images of a request.
  size_t next_pass = 0;
  uint64_t last_step = 0;  // Number of the step it last took part in.
  absl::Time submitted;
  absl::Time started;                       // When its first step was planned.
  std::vector<ScaleCost> scales;            // Those it ran, in order.
  ImageState state = ImageState::kWaiting;  // ImageTable::SetState changes it.

  // Forward rows of its next pass; 0 when none is left.
  uint32_t next_rows() const;
  // Forward rows of all passes that are left.
  uint64_t rows_left() const;
  // Books a pass that it ran in a step of `batch_images` images, its share of the step's time.
  void Charge(const PassReport& pass, double device_seconds, uint32_t batch_images);
};

// Images by id, and how many of each model are in each state. Ids rise, so iteration is in the
// order of submission. Thread-compatible.
class ImageTable {
 public:
  explicit ImageTable(size_t models) : counts_(models) {}

  struct Counts {
    uint32_t waiting = 0;
    uint32_t running = 0;
    uint32_t decoding = 0;
  };

  // Adds an image under a new id. The reference holds until it is erased.
  ImageRecord& Add(ImageRecord image);
  // Null: no such image.
  ImageRecord* Find(ImageId id);
  void SetState(ImageRecord& image, ImageState state);
  void Erase(ImageId id);

  // Ids of a model's images in a state, in the order of submission.
  std::vector<ImageId> InState(size_t model, ImageState state) const;

  const Counts& counts(size_t model) const { return counts_[model]; }
  Counts total() const;
  size_t size() const { return images_.size(); }

  auto begin() const { return images_.begin(); }
  auto end() const { return images_.end(); }

 private:
  uint32_t& CountOf(const ImageRecord& image);

  ImageId next_id_ = 1;
  std::map<ImageId, ImageRecord> images_;
  std::vector<Counts> counts_;
};

}  // namespace hmar

#endif  // HMAR_SERVER_IMAGE_TABLE_H_
