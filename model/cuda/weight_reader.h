#ifndef HMAR_MODEL_CUDA_WEIGHT_READER_H_
#define HMAR_MODEL_CUDA_WEIGHT_READER_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "model/checkpoint.h"

namespace hmar {

// Reads a checkpoint's weights in the type that the device wants. Not thread-safe.
class WeightReader {
 public:
  // `checkpoint` outlives the reader and has passed CheckTensors.
  explicit WeightReader(const Checkpoint* checkpoint) : checkpoint_(checkpoint) {}

  std::vector<std::string> names() const;
  bool Has(const std::string& name) const { return checkpoint_->tensors().count(name) != 0; }
  const std::vector<int64_t>& shape(const std::string& name) const {
    return checkpoint_->tensors().at(name).shape;
  }

  // All elements, row-major. REQUIRES: Has(name). DATA_LOSS as Checkpoint::Read.
  absl::StatusOr<std::vector<float>> Floats(const std::string& name);

  // bf16 bits, rounded to nearest even.
  absl::StatusOr<std::vector<uint16_t>> Bf16(const std::string& name);

 private:
  const Checkpoint* checkpoint_;
  std::vector<uint8_t> buffer_;
};

// The bits of the bf16 nearest to x, ties to even; NaN stays NaN.
uint16_t Bf16Bits(float x);

}  // namespace hmar

#endif  // HMAR_MODEL_CUDA_WEIGHT_READER_H_
