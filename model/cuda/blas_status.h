#ifndef HMAR_MODEL_CUDA_BLAS_STATUS_H_
#define HMAR_MODEL_CUDA_BLAS_STATUS_H_

#include <cublasLt.h>

#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "model/status_macros.h"

namespace hmar {

// A cuBLASLt call's result: UNAVAILABLE if the device failed (see CudaStatus), else INTERNAL.
inline absl::Status BlasStatus(cublasStatus_t status, const std::string& call) {
  if (status == CUBLAS_STATUS_SUCCESS) return absl::OkStatus();
  const std::string text =
      absl::StrCat(call.substr(0, call.find('(')), ": ", cublasLtGetStatusString(status));
  return status == CUBLAS_STATUS_EXECUTION_FAILED || status == CUBLAS_STATUS_INTERNAL_ERROR
             ? absl::UnavailableError(text)
             : absl::InternalError(text);
}

#define HMAR_BLAS_RETURN_IF_ERROR(call) HMAR_RETURN_IF_ERROR(::hmar::BlasStatus((call), #call))

}  // namespace hmar

#endif  // HMAR_MODEL_CUDA_BLAS_STATUS_H_
