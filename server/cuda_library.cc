#include "server/cuda_library.h"

#include <dlfcn.h>

#include <filesystem>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace hmar {
namespace {

namespace fs = std::filesystem;

// Why the last dl call of this thread failed.
std::string LoaderError() {
  const char* error = dlerror();
  return error == nullptr ? "the loader gives no reason" : error;
}

}  // namespace

std::vector<std::string> CudaLibraryPlaces(const std::string& program) {
  const fs::path folder = fs::path(program).parent_path();
  return {folder / kCudaLibrary, folder.parent_path() / "lib" / kCudaLibrary};
}

absl::StatusOr<MakeCudaEngineFunction> OpenCudaLibrary(absl::Span<const std::string> places) {
  std::string path = kCudaLibrary;
  bool found = false;
  for (auto place = places.begin(); place != places.end() && !found; ++place) {
    std::error_code ignored;
    found = fs::exists(*place, ignored);
    if (found) path = *place;
  }
  // Local: the library's own copies of what it links statically stay its own.
  void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr && !found) {
    return absl::UnimplementedError(
        absl::StrCat("this build has no CUDA engine: ", kCudaLibrary, " is neither at ",
                     absl::StrJoin(places, " nor at "), ", and the loader says: ", LoaderError()));
  }
  if (library == nullptr) {
    return absl::FailedPreconditionError(
        absl::StrCat("cannot open the CUDA engine ", path, ": ", LoaderError()));
  }
  void* symbol = dlsym(library, kMakeCudaEngineSymbol);
  if (symbol == nullptr) {
    return absl::FailedPreconditionError(
        absl::StrCat(path, " is no CUDA engine of this server: ", LoaderError()));
  }
  return reinterpret_cast<MakeCudaEngineFunction>(symbol);
}

}  // namespace hmar
