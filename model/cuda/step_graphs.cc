#include "model/cuda/step_graphs.h"

namespace hmar {

StepGraphs::~StepGraphs() {
  for (const auto& [sizes, graph] : graphs_) cudaGraphExecDestroy(graph);
}

absl::Status StepGraphs::Capture(const StepSizes& sizes) {
  if (graphs_.count(sizes) != 0) return absl::OkStatus();
  const cudaStream_t stream = model_->main_stream();
  cudaGraph_t graph = nullptr;
  HMAR_CUDA_RETURN_IF_ERROR(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
  const absl::Status ran = model_->RunStep(sizes, StepTables(sizes, tables_), failed_);
  const cudaError_t ended = cudaStreamEndCapture(stream, &graph);
  HMAR_RETURN_IF_ERROR(ran);
  HMAR_CUDA_RETURN_IF_ERROR(ended);
  cudaGraphExec_t executable = nullptr;
  const cudaError_t instantiated = cudaGraphInstantiate(&executable, graph, 0);
  cudaGraphDestroy(graph);
  HMAR_CUDA_RETURN_IF_ERROR(instantiated);
  HMAR_CUDA_RETURN_IF_ERROR(cudaGraphUpload(executable, stream));
  graphs_[sizes] = executable;
  return absl::OkStatus();
}

absl::Status StepGraphs::Run(const StepSizes& sizes) const {
  const auto found = graphs_.find(sizes);
  if (found == graphs_.end()) {
    return model_->RunStep(sizes, StepTables(sizes, tables_), failed_);
  }
  HMAR_CUDA_RETURN_IF_ERROR(cudaGraphLaunch(found->second, model_->main_stream()));
  return absl::OkStatus();
}

}  // namespace hmar
