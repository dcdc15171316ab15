#ifndef HMAR_MODEL_TORCH_WEIGHTS_H_
#define HMAR_MODEL_TORCH_WEIGHTS_H_

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "model/checkpoint.h"
#include "model/tensor_table.h"
#include "model/torch/aten.h"

namespace hmar {

// Tensors by published name, fp32, contiguous, on the CPU.
class Weights {
 public:
  // Reads the table's tensors from a checkpoint that CheckTensors has passed, converting fp16 and
  // bf16 to fp32.
  static absl::StatusOr<Weights> Load(const Checkpoint& checkpoint, const TensorTable& table);

  std::vector<std::string> names() const;

  bool has(const std::string& name) const { return tensors_.count(name) != 0; }

  // Of the tensors that have not been taken.
  uint64_t bytes() const;

  // REQUIRES: has(name).
  const at::Tensor& operator[](const std::string& name) const { return tensors_.at(name); }

  // Moves a tensor out, so that a packed copy does not keep it in memory. REQUIRES: has(name); it
  // is gone afterwards.
  at::Tensor Take(const std::string& name) { return std::move(tensors_.extract(name).mapped()); }

 private:
  std::map<std::string, at::Tensor> tensors_;
};

}  // namespace hmar

#endif  // HMAR_MODEL_TORCH_WEIGHTS_H_
