#ifndef HMAR_MODEL_CUDA_TIMED_GRAPH_H_
#define HMAR_MODEL_CUDA_TIMED_GRAPH_H_

#include <cuda_runtime_api.h>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "model/cuda/cuda_status.h"
#include "model/status_macros.h"

namespace hmar {

// Work captured as a CUDA graph, to be timed.
class TimedGraph {
 public:
  TimedGraph() = default;
  TimedGraph(const TimedGraph&) = delete;
  TimedGraph& operator=(const TimedGraph&) = delete;
  ~TimedGraph() {
    if (graph_ != nullptr) cudaGraphDestroy(graph_);
    if (executable_ != nullptr) cudaGraphExecDestroy(executable_);
    for (const cudaEvent_t event : {begin_, end_}) {
      if (event != nullptr) cudaEventDestroy(event);
    }
  }

  template <typename Work>
  absl::Status Capture(cudaStream_t stream, const Work& work) {
    HMAR_CUDA_RETURN_IF_ERROR(cudaEventCreate(&begin_));
    HMAR_CUDA_RETURN_IF_ERROR(cudaEventCreate(&end_));
    HMAR_CUDA_RETURN_IF_ERROR(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
    const absl::Status status = work();
    const cudaError_t ended = cudaStreamEndCapture(stream, &graph_);
    HMAR_RETURN_IF_ERROR(status);
    HMAR_CUDA_RETURN_IF_ERROR(ended);
    HMAR_CUDA_RETURN_IF_ERROR(cudaGraphInstantiate(&executable_, graph_, 0));
    HMAR_CUDA_RETURN_IF_ERROR(cudaGraphUpload(executable_, stream));
    return absl::OkStatus();
  }

  // Runs it. Waits.
  absl::StatusOr<float> Milliseconds(cudaStream_t stream) const {
    HMAR_CUDA_RETURN_IF_ERROR(cudaEventRecord(begin_, stream));
    HMAR_CUDA_RETURN_IF_ERROR(cudaGraphLaunch(executable_, stream));
    HMAR_CUDA_RETURN_IF_ERROR(cudaEventRecord(end_, stream));
    HMAR_CUDA_RETURN_IF_ERROR(cudaEventSynchronize(end_));
    float ms = 0;
    HMAR_CUDA_RETURN_IF_ERROR(cudaEventElapsedTime(&ms, begin_, end_));
    return ms;
  }

 private:
  cudaGraph_t graph_ = nullptr;
  cudaGraphExec_t executable_ = nullptr;
  cudaEvent_t begin_ = nullptr, end_ = nullptr;
};

}  // namespace hmar

#endif  // HMAR_MODEL_CUDA_TIMED_GRAPH_H_
