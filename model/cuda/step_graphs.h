#ifndef HMAR_MODEL_CUDA_STEP_GRAPHS_H_
#define HMAR_MODEL_CUDA_STEP_GRAPHS_H_

#include <cuda_runtime_api.h>

#include <cstdint>
#include <map>

#include "absl/status/status.h"
#include "model/cuda/cuda_model.h"
#include "model/cuda/step_tables.h"

namespace hmar {

// CUDA graphs of steps, by exact sizes: what launching a hundred small kernels one by one costs is
// then paid once. Captured at warm-up for the steps of an image alone; steps of other sizes are
// launched kernel by kernel. Not thread-safe.
class StepGraphs {
 public:
  // Steps read their tables at `tables` (device) and report failures to `failed`; both and `model`
  // outlive this.
  StepGraphs(CudaModel* model, void* tables, int32_t* failed)
      : model_(model), tables_(tables), failed_(failed) {}
  ~StepGraphs();
  StepGraphs(const StepGraphs&) = delete;
  StepGraphs& operator=(const StepGraphs&) = delete;

  // Captures steps of these sizes; once each. REQUIRES: such a step has run before.
  absl::Status Capture(const StepSizes& sizes);

  // Runs a step whose tables are on the device: as a graph if there is one.
  absl::Status Run(const StepSizes& sizes) const;

 private:
  CudaModel* const model_;
  void* const tables_;
  int32_t* const failed_;
  std::map<StepSizes, cudaGraphExec_t> graphs_;
};

}  // namespace hmar

#endif  // HMAR_MODEL_CUDA_STEP_GRAPHS_H_
