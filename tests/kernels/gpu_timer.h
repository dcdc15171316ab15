#ifndef HMAR_TESTS_KERNELS_GPU_TIMER_H_
#define HMAR_TESTS_KERNELS_GPU_TIMER_H_

#include <algorithm>
#include <vector>

#include "tests/kernels/device_array.h"

namespace hmar {

// Median microseconds of one `launch(stream)`: `runs` replays of a CUDA graph of `repeats` launches
// each, after warm-up, so that launch gaps stay out. `launch` may rotate its buffers over calls to
// keep the L2 cold.
template <typename Launch>
double MedianMicroseconds(const Launch& launch, int repeats = 20, int runs = 15) {
  cudaStream_t stream;
  cudaGraph_t graph;
  cudaGraphExec_t replay;
  cudaEvent_t begin, end;
  CheckCuda(cudaStreamCreate(&stream));
  for (int i = 0; i < 3; ++i) launch(stream);
  CheckCuda(cudaStreamSynchronize(stream), "launch");
  CheckCuda(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
  for (int i = 0; i < repeats; ++i) launch(stream);
  CheckCuda(cudaStreamEndCapture(stream, &graph), "capture");
  CheckCuda(cudaGraphInstantiate(&replay, graph, 0));
  CheckCuda(cudaEventCreate(&begin));
  CheckCuda(cudaEventCreate(&end));
  std::vector<float> milliseconds(runs);
  for (float& ms : milliseconds) {
    CheckCuda(cudaEventRecord(begin, stream));
    CheckCuda(cudaGraphLaunch(replay, stream));
    CheckCuda(cudaEventRecord(end, stream));
    CheckCuda(cudaEventSynchronize(end), "replay");
    CheckCuda(cudaEventElapsedTime(&ms, begin, end));
  }
  cudaEventDestroy(begin), cudaEventDestroy(end);
  cudaGraphExecDestroy(replay), cudaGraphDestroy(graph), cudaStreamDestroy(stream);
  std::nth_element(milliseconds.begin(), milliseconds.begin() + runs / 2, milliseconds.end());
  return 1000.0 * milliseconds[runs / 2] / repeats;
}

}  // namespace hmar

#endif  // HMAR_TESTS_KERNELS_GPU_TIMER_H_
