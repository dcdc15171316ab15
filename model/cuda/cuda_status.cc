#include "model/cuda/cuda_status.h"

#include <string>

#include "absl/strings/str_cat.h"

namespace hmar {

absl::Status CudaStatus(cudaError_t error, const char* what) {
  if (error == cudaSuccess) return absl::OkStatus();
  // The call without its arguments.
  const std::string call = std::string(what).substr(0, std::string(what).find('('));
  const std::string text = absl::StrCat(call, ": ", cudaGetErrorString(error));
  switch (error) {
    case cudaErrorMemoryAllocation:
      cudaGetLastError();  // It does not stick: the next call must not see it.
      return absl::ResourceExhaustedError(text);
    case cudaErrorInvalidValue:
    case cudaErrorInvalidConfiguration:
    case cudaErrorNotSupported:
    case cudaErrorInvalidDeviceFunction:
      cudaGetLastError();
      return absl::InternalError(text);
    default:
      return absl::UnavailableError(absl::StrCat("the device is lost: ", text));
  }
}

}  // namespace hmar
