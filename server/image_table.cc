#include "server/image_table.h"

#include <algorithm>
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

std::vector<ImageId> ImageTable::InState(size_t model, ImageState state) const {
  std::vector<ImageId> ids;
  for (const auto& [id, image] : images_) {
    if (image.model == model && image.state == state) ids.push_back(id);
  }
  return ids;
}

ImageTable::Counts ImageTable::total() const {
  Counts total;
  for (const Counts& counts : counts_) {
    total.waiting += counts.waiting;
    total.running += counts.running;
    total.decoding += counts.decoding;
  }
  return total;
}

uint32_t& ImageTable::CountOf(const ImageRecord& image) {
  Counts& counts = counts_[image.model];
  switch (image.state) {
    case ImageState::kWaiting:
      return counts.waiting;
    case ImageState::kRunning:
      return counts.running;
    case ImageState::kDecoding:
      break;
  }
  return counts.decoding;
}

}  // namespace hmar
