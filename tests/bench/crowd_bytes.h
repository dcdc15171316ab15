#ifndef HMAR_TESTS_BENCH_CROWD_BYTES_H_
#define HMAR_TESTS_BENCH_CROWD_BYTES_H_

// What a benchmark's images came to, to the byte.

#include <cstddef>
#include <cstdint>
#include <map>

#include "absl/status/statusor.h"
#include "model/engine.h"

namespace hmar {

// The image that benchmarks make of a seed: its class follows from it, the model's own sampling,
// previews of every scale but the last.
ImageTask BenchTask(const ModelConfig& config, uint64_t seed, PreviewMode previews);

// A step's report; ends the program with what went wrong if anything did.
StepReport Checked(absl::StatusOr<StepReport> report);

// Images by id, which is their seed.
using Made = std::map<ImageId, ImageReport>;

// Prints a SHA-256 over pixels and tokens: the same for the same images, whatever shared their
// steps, on GPUs of one sort.
void PrintHash(const Made& made);

// Makes the first `count` images of `crowd` alone and prints how many have the same bytes; false if
// one has not. REQUIRES: the engine holds no image.
bool CompareAlone(Engine* engine, PreviewMode previews, const Made& crowd, size_t count);

}  // namespace hmar

#endif  // HMAR_TESTS_BENCH_CROWD_BYTES_H_
