// AdaLN vectors of all classes, computed once.

#include <cmath>

#include "kernels/class_vectors.h"
#include "model/cuda/adaln_layout.h"
#include "model/cuda/cuda_transformer.h"

namespace hmar {
namespace {

constexpr char kClassVectors[] = "class vectors";

std::vector<float> SiluOf(std::vector<float> x) {
  for (float& v : x) v = v / (1 + std::exp(-v));
  return x;
}

}  // namespace

// AdaLN is a linear layer of SiLU(class embedding): in fp32, for all classes at once, one block at
// a time.
absl::Status CudaTransformer::ComputeClassVectors(WeightReader* weights, DeviceMemory* memory,
                                                  cudaStream_t stream) {
  const auto N = static_cast<int64_t>(config_.classes.size()) + 1;
  const std::vector<std::string> blocks = BlockNames();
  class_stride_ = (static_cast<int64_t>(blocks.size()) * kBlockVectors + 2 * kHeadVectors) * C_;
  HMAR_ASSIGN_OR_RETURN(__nv_bfloat16 * out,
                        memory->Allocate<__nv_bfloat16>(kClassVectors, N * class_stride_));
  class_vectors_ = out;
  HMAR_ASSIGN_OR_RETURN(const std::vector<float> embedding, weights->Floats("class_emb.weight"));
  const int64_t most = kBlockVectors * C_;
  HMAR_ASSIGN_OR_RETURN(
      const ScratchMemory scratch,
      ScratchMemory::Take((N * C_ + most * C_ + N * most + most) * sizeof(float)));
  float* x = scratch.as<float>();
  float *weight = x + N * C_, *product = weight + most * C_, *bias = product + N * most;
  const auto upload = [stream](float* to, const std::vector<float>& from) {
    return cudaMemcpyAsync(to, from.data(), from.size() * sizeof(float), cudaMemcpyHostToDevice,
                           stream);
  };
  HMAR_CUDA_RETURN_IF_ERROR(upload(x, SiluOf(embedding)));
  const bool shared = config_.transformer.shared_aln;
  // `layer` projects; `added`, if not empty, is a further bias.
  const auto project = [&](const std::string& layer, const std::string& added, bool reuse,
                           int64_t vectors, int64_t first_scale,
                           int64_t first_shift) -> absl::Status {
    HMAR_ASSIGN_OR_RETURN(std::vector<float> b, weights->Floats(layer + ".bias"));
    if (!added.empty()) {
      HMAR_ASSIGN_OR_RETURN(const std::vector<float> more, weights->Floats(added));
      for (size_t i = 0; i < b.size(); ++i) b[i] += more[i];
    }
    HMAR_CUDA_RETURN_IF_ERROR(upload(bias, b));
    if (!reuse) {
      HMAR_ASSIGN_OR_RETURN(const std::vector<float> w, weights->Floats(layer + ".weight"));
      HMAR_CUDA_RETURN_IF_ERROR(upload(weight, w));
      HMAR_RETURN_IF_ERROR(gemm_->RunFp32(x, N, weight, vectors * C_, C_, product, stream));
    }
    HMAR_CUDA_RETURN_IF_ERROR(
        kernels::StoreClassVectors(product, bias, static_cast<int>(N), vectors * C_,
                                   first_scale * C_, first_shift * C_, out, class_stride_, stream));
    out += vectors * C_;
    return absl::OkStatus();
  };
  for (size_t i = 0; i < blocks.size(); ++i) {
    HMAR_RETURN_IF_ERROR(project(shared ? "shared_ada_lin.1" : blocks[i] + ".ada_lin.1",
                                 shared ? blocks[i] + ".ada_gss" : "", shared && i > 0,
                                 kBlockVectors, kScale1, kShift1));
  }
  for (const std::string head : {"ns_head_nm", "mask_head_nm"}) {
    HMAR_RETURN_IF_ERROR(project(head + ".ada_lin.1", "", false, kHeadVectors, 0, 1));
  }
  HMAR_CUDA_RETURN_IF_ERROR(cudaStreamSynchronize(stream));
  return absl::OkStatus();
}

}  // namespace hmar
