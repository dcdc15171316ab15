#include "client/load/request_maker.h"

#include <algorithm>
#include <utility>

#include "client/edit_options.h"
#include "client/load/schedule.h"
#include "client/picture_names.h"
#include "client/png_codec.h"
#include "model/status_macros.h"

namespace hmar::load {
namespace {

// A gradient of its own colours under a little noise: deflate and the encoder have some work.
Picture DrawUpload(uint32_t side, uint64_t number) {
  Random random(number);
  const uint64_t tint = random.Next();
  Picture picture{side, side, {}};
  picture.rgb.reserve(size_t{side} * side * 3);
  for (uint32_t y = 0; y < side; ++y) {
    for (uint32_t x = 0; x < side; ++x) {
      const uint64_t noise = random.Next();
      for (const int channel : {0, 1, 2}) {
        const uint32_t slope = (tint >> channel) & 1 ? x : y;
        const uint64_t value = (tint >> (8 * channel + 8)) + slope * 128 / side;
        picture.rgb.push_back(static_cast<uint8_t>(value + ((noise >> (8 * channel)) & 15)));
      }
    }
  }
  return picture;
}

v1::GenerateRequest Prototype(const Kind& kind, const ModelFacts& model) {
  v1::GenerateRequest request;
  request.set_model(kind.model);
  request.set_num_images(static_cast<uint32_t>(kind.images));
  if (kind.previews != "none") {
    request.mutable_previews()->set_mode(kind.previews == "fast" ? v1::PreviewOptions::MODE_FAST
                                                                 : v1::PreviewOptions::MODE_FULL);
  }
  request.mutable_output()->set_format(FormatOf(kind.format));
  request.mutable_scheduling()->set_priority(static_cast<int32_t>(kind.priority));
  if (kind.on_deadline == "refuse") {
    request.mutable_scheduling()->set_on_deadline(v1::Scheduling::ON_DEADLINE_FAIL);
  } else if (kind.on_deadline == "degrade") {
    request.mutable_scheduling()->set_on_deadline(v1::Scheduling::ON_DEADLINE_DEGRADE);
  }
  if (kind.method == "edit") {
    const uint32_t quarter = model.image_size / 4;
    const uint32_t far = std::max(model.image_size - quarter, quarter + 1);
    *request.mutable_edit() =
        RegenerateBox("", {.x0 = quarter, .y0 = quarter, .x1 = far, .y1 = far});
  }
  return request;
}

}  // namespace

absl::StatusOr<RequestMaker> RequestMaker::Make(const Kind& kind, const ModelFacts& model) {
  RequestMaker maker(Prototype(kind, model), model.classes);
  if (kind.method != "edit") return maker;
  for (uint64_t i = 0; i < static_cast<uint64_t>(kind.uploads); ++i) {
    HMAR_ASSIGN_OR_RETURN(std::string png, EncodePng(DrawUpload(model.image_size, i)));
    maker.uploads_.push_back(std::move(png));
  }
  return maker;
}

v1::GenerateRequest RequestMaker::Request(uint64_t seed) const {
  v1::GenerateRequest request = prototype_;
  request.set_seed(seed);
  if (classes_ > 0) request.set_class_id(static_cast<uint32_t>(seed % classes_));
  if (!uploads_.empty()) request.mutable_edit()->set_image(uploads_[seed % uploads_.size()]);
  return request;
}

}  // namespace hmar::load
