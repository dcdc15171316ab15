#include "server/scheduling/image_table.h"

#include <algorithm>
#include <numeric>
#include <utility>

namespace hmar {

uint32_t ImageRecord::next_rows() const {
  return next_pass < passes->size() ? (*passes)[next_pass].rows() : 0;
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

ImageRecord& ImageTable::Add(ImageRecord image) {
  image.id = next_id_++;
  ++CountOf(image);
  return images_[image.id] = std::move(image);
}

ImageRecord* ImageTable::Find(ImageId id) {
  auto found = images_.find(id);
  return found == images_.end() ? nullptr : &found->second;
}

void ImageTable::Run(ImageRecord& image, size_t device) {
  image.device = device;
  SetState(image, ImageState::kRunning);
}

void ImageTable::Decode(ImageRecord& image) { SetState(image, ImageState::kDecoding); }

void ImageTable::SetState(ImageRecord& image, ImageState state) {
  --CountOf(image);
  image.state = state;
  ++CountOf(image);
}

void ImageTable::Erase(ImageId id) {
  auto found = images_.find(id);
  if (found == images_.end()) return;
  --CountOf(found->second);
  images_.erase(found);
}

std::vector<ImageId> ImageTable::Decoding(size_t device, size_t model) const {
  std::vector<ImageId> ids;
  for (const auto& [id, image] : images_) {
    if (image.state == ImageState::kDecoding && image.device == device && image.model == model) {
      ids.push_back(id);
    }
  }
  return ids;
}

uint32_t ImageTable::waiting() const {
  return std::accumulate(waiting_.begin(), waiting_.end(), uint32_t{0});
}

uint32_t ImageTable::held() const {
  uint32_t total = 0;
  for (const std::vector<Held>& models : held_) {
    for (const Held& held : models) total += held.total();
  }
  return total;
}

uint32_t& ImageTable::CountOf(const ImageRecord& image) {
  if (image.state == ImageState::kWaiting) return waiting_[image.model];
  Held& held = held_[*image.device][image.model];
  return image.state == ImageState::kRunning ? held.running : held.decoding;
}

}  // namespace hmar
