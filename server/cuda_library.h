#ifndef HMAR_SERVER_CUDA_LIBRARY_H_
#define HMAR_SERVER_CUDA_LIBRARY_H_

// The CUDA engine's shared library, opened when a GPU is asked for: who runs on the CPU needs
// neither CUDA nor its start-up time.

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "model/cuda_engine.h"

namespace hmar {

inline constexpr char kCudaLibrary[] = "libhmar_cuda.so";

// Where the library of the program at `program` may lie, best first: beside it, then in the lib/
// folder beside its own.
std::vector<std::string> CudaLibraryPlaces(const std::string& program);

// Opens the first of `places` that exists or, if none does, what the loader finds by its own search
// under kCudaLibrary. The library stays open for the life of the process; opening it again gives
// the same. Thread-safe. Errors are one line for the user: UNIMPLEMENTED: there is no library;
// FAILED_PRECONDITION: one that cannot be used, with the loader's reason.
absl::StatusOr<MakeCudaEngineFunction> OpenCudaLibrary(absl::Span<const std::string> places);

}  // namespace hmar

#endif  // HMAR_SERVER_CUDA_LIBRARY_H_
