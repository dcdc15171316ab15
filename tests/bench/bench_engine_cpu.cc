// For builds without CUDA.

#include <utility>

#include "model/cpu_engine.h"
#include "model/status_macros.h"
#include "tests/bench/bench_engine.h"

namespace hmar {

absl::StatusOr<std::unique_ptr<Engine>> MakeBenchEngine(const BenchEngineOptions& options) {
  if (options.device != "cpu") return absl::UnimplementedError("this build has no CUDA engine");
  HMAR_ASSIGN_OR_RETURN(ModelFolder folder, OpenModelFolder(options.model));
  CpuEngineOptions cpu;
  cpu.max_images = options.max_images;
  cpu.threads = options.threads;
  return MakeCpuEngine(std::move(folder), cpu);
}

void PrintKernelShares(const std::function<double()>&) {}

}  // namespace hmar
