#include "server/scheduling/image_table.h"

#include <algorithm>
#include <utility>

namespace hmar {

uint32_t ImageRecord::next_rows() const {
  return next_pass < passes->size() ? (*passes)[next_pass].rows() : 0;
}

uint32_t ImageRecord::next_pictures() const {
  if (next_pass >= passes->size()) return 0;
  const Pass& pass = (*passes)[next_pass];
  return (LeavesFullPreview(pass, full_previews.get()) ? 1 : 0) +
         (next_pass + 1 == passes->size() ? 1 : 0);
}

uint64_t ImageRecord::rows_left() const {
  uint64_t rows = 0;
  for (size_t i = next_pass; i < passes->size(); ++i) rows += (*passes)[i].rows();
  return rows;
}

void ImageRecord::Charge(const PassReport& pass, double device_seconds, uint32_t batch_images) {
  if (scales.empty() || scales.back().scale != pass.scale) scales.push_back({pass.scale, 0, 0, 0});
  ScaleCost& cost = scales.back();
  ++cost.passes;
  cost.device_seconds += device_seconds;
  cost.max_batch_images = std::max(cost.max_batch_images, batch_images);
}

ImageRecord& ImageTable::Add(ImageRecord image, const Principal& principal) {
  image.id = next_id_++;
  ++waiting_of_[principal.name];
  image.flow = queues_[image.model][image.priority].Push(principal.name, principal.weight, image.id,
                                                         image.due, image.rows_left(), image.side,
                                                         image.submitted);
  return images_[image.id] = std::move(image);
}

ImageRecord* ImageTable::Find(ImageId id) {
  auto found = images_.find(id);
  return found == images_.end() ? nullptr : &found->second;
}

const ImageRecord* ImageTable::Find(ImageId id) const {
  return const_cast<ImageTable*>(this)->Find(id);
}

void ImageTable::LeaveTheQueue(const std::string& principal) {
  auto found = waiting_of_.find(principal);
  if (--found->second == 0) waiting_of_.erase(found);
}

void ImageTable::Run(ImageRecord& image, size_t device) {
  LeaveTheQueue(image.flow->principal);
  queue(image.model, image.priority).Start(image.flow, image.id, image.due, image.side.uploads);
  image.device = device;
  image.state = ImageState::kRunning;
  HeldWith(image).running.insert(image.id);
  HeldWith(image).rows += image.rows_left();
}

void ImageTable::Advance(ImageRecord& image, size_t next_pass) {
  const uint64_t before = image.rows_left();
  image.next_pass = next_pass;
  const uint64_t rows = before - image.rows_left();
  HeldWith(image).rows -= rows;
  queue(image.model, image.priority).Advance(image.flow, rows);
}

void ImageTable::Charge(const std::vector<ImageId>& ids, absl::Duration forward,
                        absl::Duration decoding) {
  std::vector<const ImageRecord*> images;
  uint64_t rows = 0, pictures = 0;
  for (ImageId id : ids) {
    const ImageRecord* image = Find(id);
    if (image == nullptr) continue;
    images.push_back(image);
    rows += image->next_rows();
    pictures += image->next_pictures();
  }
  const auto share = [&images](uint64_t own, uint64_t all) {
    return all > 0 ? static_cast<double>(own) / all : 1.0 / images.size();
  };
  for (const ImageRecord* image : images) {
    const absl::Duration own = share(image->next_rows(), rows) * forward +
                               share(image->next_pictures(), pictures) * decoding;
    queue(image->model, image->priority).Charge(image->flow, absl::ToDoubleSeconds(own));
  }
}

void ImageTable::Truncate(ImageRecord& image, uint32_t scales, const ModelConfig& config,
                          const SamplingParams& sampling) {
  const uint64_t before = image.rows_left();
  std::vector<Pass> passes = TruncatePlan(*image.passes, image.next_pass, static_cast<int>(scales));
  image.degraded = TruncatedSampling(config, image.degraded ? *image.degraded : sampling,
                                     *image.passes, passes, static_cast<int>(scales));
  image.passes = std::make_shared<const std::vector<Pass>>(std::move(passes));
  image.num_scales = scales;
  const uint64_t rows = before - image.rows_left();
  HeldWith(image).rows -= rows;
  queue(image.model, image.priority).Advance(image.flow, rows);
}

void ImageTable::Decode(ImageRecord& image, absl::Time now) {
  image.ended = now;
  image.state = ImageState::kDecoding;
  HeldWith(image).running.erase(image.id);
  HeldWith(image).decoding.insert(image.id);
}

void ImageTable::Erase(ImageId id) {
  auto found = images_.find(id);
  if (found == images_.end()) return;
  const ImageRecord& image = found->second;
  FairQueue& waits = queue(image.model, image.priority);
  if (image.state == ImageState::kWaiting) {
    LeaveTheQueue(image.flow->principal);
    waits.RemoveWaiting(image.flow, id, image.due, image.rows_left(), image.side);
  } else {
    waits.RemoveInFlight(image.flow, image.rows_left(), image.side.pictures);
    HeldWith(image).running.erase(id);
    HeldWith(image).decoding.erase(id);
    HeldWith(image).rows -= image.rows_left();
  }
  images_.erase(found);
}

uint32_t ImageTable::waiting_of(const std::string& principal) const {
  auto found = waiting_of_.find(principal);
  return found == waiting_of_.end() ? 0 : found->second;
}

uint32_t ImageTable::waiting(size_t model) const {
  uint32_t total = 0;
  for (const auto& [priority, queue] : queues_[model]) total += queue.waiting();
  return total;
}

uint32_t ImageTable::waiting() const {
  uint32_t total = 0;
  for (size_t model = 0; model < queues_.size(); ++model) total += waiting(model);
  return total;
}

uint32_t ImageTable::held() const {
  uint32_t total = 0;
  for (const std::vector<Held>& models : held_) {
    for (const Held& held : models) total += held.total();
  }
  return total;
}

}  // namespace hmar
