#include "model/torch/weights.h"

#include <utility>
#include <vector>

#include "model/status_macros.h"

namespace hmar {
namespace {

at::ScalarType ScalarTypeOf(DType dtype) {
  switch (dtype) {
    case DType::kFloat16:
      return at::kHalf;
    case DType::kBFloat16:
      return at::kBFloat16;
    default:
      return at::kFloat;  // CheckTensors lets no other type pass.
  }
}

}  // namespace

absl::StatusOr<Weights> Weights::Load(const Checkpoint& checkpoint, const TensorTable& table) {
  Weights weights;
  std::vector<uint8_t> buffer;
  for (const auto& [name, shape] : table) {
    HMAR_ASSIGN_OR_RETURN(const absl::Span<const uint8_t> bytes, checkpoint.Read(name, &buffer));
    // from_blob only looks at the bytes; clone and to() make the copy that outlives them.
    const at::Tensor stored = at::from_blob(const_cast<uint8_t*>(bytes.data()), shape,
                                            ScalarTypeOf(checkpoint.tensors().at(name).dtype));
    weights.tensors_[name] =
        stored.scalar_type() == at::kFloat ? stored.clone() : stored.to(at::kFloat);
  }
  return weights;
}

std::vector<std::string> Weights::names() const {
  std::vector<std::string> names;
  for (const auto& [name, tensor] : tensors_) names.push_back(name);
  return names;
}

uint64_t Weights::bytes() const {
  uint64_t bytes = 0;
  for (const auto& [name, tensor] : tensors_) bytes += tensor.nbytes();
  return bytes;
}

}  // namespace hmar
