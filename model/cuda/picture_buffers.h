#ifndef HMAR_MODEL_CUDA_PICTURE_BUFFERS_H_
#define HMAR_MODEL_CUDA_PICTURE_BUFFERS_H_

// Internal to picture_pipeline.cc and picture_buffers.cc.

#include "model/cuda/picture_pipeline.h"

namespace hmar {

// Indices of slots, for a kernel that reads them.
struct SlotList {
  int32_t* host = nullptr;
  int32_t* device = nullptr;
};

struct PicturePipeline::FastBatch {
  SlotList slots;
  uint8_t *device = nullptr, *host = nullptr;
  cudaEvent_t made = nullptr, done = nullptr;
  std::vector<Order> orders;
};

// Feature maps on their way to the decoder, filled over one or more steps.
struct PicturePipeline::FeatureBatch {
  SlotList slots;
  __nv_bfloat16* features = nullptr;
  cudaEvent_t gathered = nullptr;
  std::vector<Order> orders;
};

struct PicturePipeline::Decode {
  uint8_t *device = nullptr, *host = nullptr;
  int32_t *device_failed = nullptr, *failed = nullptr;  // A picture: 1 if it is not finite.
  cudaEvent_t begin = nullptr, decoded = nullptr, done = nullptr;
  FeatureBatch* batch = nullptr;
};

}  // namespace hmar

#endif  // HMAR_MODEL_CUDA_PICTURE_BUFFERS_H_
