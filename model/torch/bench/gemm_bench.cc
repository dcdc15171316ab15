// Our packed linear layers against ATen's (MKL), at the shapes of the bundled model and of
// hmar-d16, by number of rows.

#include <ATen/core/Tensor.h>
#include <ATen/ops/addmm.h>
#include <ATen/ops/allclose.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/randn.h>
#include <benchmark/benchmark.h>
#include <c10/core/InferenceMode.h>

#include <vector>

#include "model/torch/packed_linear.h"

namespace hmar {
namespace {

// As many layers as a model has, so that weights come from where they come from in a model.
constexpr int kLayers = 24;

struct Layers {
  Layers(int64_t inputs, int64_t outputs) {
    for (int i = 0; i < kLayers; ++i) {
      weights.push_back(at::randn({outputs, inputs}));
      biases.push_back(at::randn({outputs}));
      packed.emplace_back(weights.back(), biases.back());
    }
  }
  std::vector<at::Tensor> weights, biases;
  std::vector<PackedLinear> packed;
};

void Shapes(benchmark::internal::Benchmark* b) {
  for (const int64_t rows : {1, 16, 128, 2560}) {
    for (const auto& [inputs, outputs] :
         {std::pair{256, 768}, {256, 1024}, {1024, 256}, {1024, 3072}}) {
      if (rows * inputs * outputs <= int64_t{1} << 31) b->Args({rows, inputs, outputs});
    }
  }
}

void Run(benchmark::State& state, bool use_packed) {
  const c10::InferenceMode guard;
  const int64_t rows = state.range(0), inputs = state.range(1), outputs = state.range(2);
  const Layers layers(inputs, outputs);
  const at::Tensor x = at::randn({rows, inputs});
  at::Tensor out = at::empty({rows, outputs});
  if (!at::allclose(layers.packed[0](x), at::addmm(layers.biases[0], x, layers.weights[0].t()),
                    1e-4, 1e-3)) {
    state.SkipWithError("wrong result");
    return;
  }
  int i = 0;
  for (auto _ : state) {
    if (use_packed) {
      layers.packed[i].Apply(x.data_ptr<float>(), rows, out.data_ptr<float>());
    } else {
      at::addmm_out(out, layers.biases[i], x, layers.weights[i].t());
    }
    i = (i + 1) % kLayers;
  }
  const double flop = 2.0 * static_cast<double>(rows * inputs * outputs);
  state.counters["GFLOP/s"] =
      benchmark::Counter(flop * 1e-9, benchmark::Counter::kIsIterationInvariantRate);
}

BENCHMARK_CAPTURE(Run, packed, true)->Apply(Shapes)->UseRealTime()->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(Run, mkl, false)->Apply(Shapes)->UseRealTime()->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace hmar

BENCHMARK_MAIN();
