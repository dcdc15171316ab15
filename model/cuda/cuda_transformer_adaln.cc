// AdaLN vectors of all classes, computed once.

#include <cmath>
#include <utility>

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

// One projection: of a block, or of a head's norm.
struct Projection {
  std::string layer;
  std::string added_bias;  // Empty: none.
  int64_t vectors;         // How many it gives, C elements each.
  int64_t first_scale, first_shift;
};

// Computes the vectors that projections of SiLU(class embedding) give to all classes, in fp32, one
// projection at a time.
class ClassVectorMaker {
 public:
  // `most_vectors`: of a projection. `weights` and `gemm` outlive this.
  static absl::StatusOr<ClassVectorMaker> Create(WeightReader* weights, Gemm* gemm, int64_t N,
                                                 int64_t C, int64_t most_vectors,
                                                 cudaStream_t stream) {
    const int64_t most = most_vectors * C;
    HMAR_ASSIGN_OR_RETURN(
        ScratchMemory scratch,
        ScratchMemory::Take((N * C + most * C + N * most + most) * sizeof(float)));
    ClassVectorMaker maker(weights, gemm, N, C, std::move(scratch), stream);
    maker.x_NC_ = maker.scratch_.as<float>();
    maker.weight_ = maker.x_NC_ + N * C;
    maker.product_ = maker.weight_ + most * C;
    maker.bias_ = maker.product_ + N * most;
    HMAR_ASSIGN_OR_RETURN(const std::vector<float> embedding, weights->Floats("class_emb.weight"));
    HMAR_RETURN_IF_ERROR(maker.Upload(maker.x_NC_, SiluOf(embedding)));
    return maker;
  }

  // Of every class, to `out` of the first one. A layer that was the last one's, too, is not
  // multiplied again.
  absl::Status Make(const Projection& projection, __nv_bfloat16* out, int64_t class_stride) {
    HMAR_ASSIGN_OR_RETURN(std::vector<float> bias, weights_->Floats(projection.layer + ".bias"));
    if (!projection.added_bias.empty()) {
      HMAR_ASSIGN_OR_RETURN(const std::vector<float> more, weights_->Floats(projection.added_bias));
      for (size_t i = 0; i < bias.size(); ++i) bias[i] += more[i];
    }
    HMAR_RETURN_IF_ERROR(Upload(bias_, bias));
    const int64_t width = projection.vectors * C_;
    if (projection.layer != multiplied_) {
      HMAR_ASSIGN_OR_RETURN(const std::vector<float> weight,
                            weights_->Floats(projection.layer + ".weight"));
      HMAR_RETURN_IF_ERROR(Upload(weight_, weight));
      HMAR_RETURN_IF_ERROR(gemm_->RunFp32(x_NC_, N_, weight_, width, C_, product_, stream_));
      multiplied_ = projection.layer;
    }
    HMAR_CUDA_RETURN_IF_ERROR(kernels::StoreClassVectors(
        product_, bias_, static_cast<int>(N_), width, projection.first_scale * C_,
        projection.first_shift * C_, out, class_stride, stream_));
    return absl::OkStatus();
  }

 private:
  ClassVectorMaker(WeightReader* weights, Gemm* gemm, int64_t N, int64_t C, ScratchMemory scratch,
                   cudaStream_t stream)
      : weights_(weights),
        gemm_(gemm),
        N_(N),
        C_(C),
        scratch_(std::move(scratch)),
        stream_(stream) {}

  absl::Status Upload(float* to, const std::vector<float>& from) const {
    HMAR_CUDA_RETURN_IF_ERROR(cudaMemcpyAsync(to, from.data(), from.size() * sizeof(float),
                                              cudaMemcpyHostToDevice, stream_));
    return absl::OkStatus();
  }

  WeightReader* weights_;
  Gemm* gemm_;
  int64_t N_, C_;
  ScratchMemory scratch_;
  cudaStream_t stream_;
  float *x_NC_ = nullptr, *weight_ = nullptr, *product_ = nullptr, *bias_ = nullptr;
  std::string multiplied_;  // The layer whose product is there.
};

}  // namespace

// AdaLN is a linear layer of SiLU(class embedding): for all classes at once.
absl::Status CudaTransformer::ComputeClassVectors(WeightReader* weights, DeviceMemory* memory,
                                                  cudaStream_t stream) {
  const auto N = static_cast<int64_t>(config_.classes.size()) + 1;
  const std::vector<std::string> blocks = BlockNames();
  class_stride_ = (static_cast<int64_t>(blocks.size()) * kBlockVectors + 2 * kHeadVectors) * C_;
  HMAR_ASSIGN_OR_RETURN(__nv_bfloat16 * out,
                        memory->Allocate<__nv_bfloat16>(kClassVectors, N * class_stride_));
  class_vectors_ = out;
  std::vector<Projection> projections;
  const bool shared = config_.transformer.shared_aln;
  for (const std::string& block : blocks) {
    projections.push_back({shared ? "shared_ada_lin.1" : block + ".ada_lin.1",
                           shared ? block + ".ada_gss" : "", kBlockVectors, kScale1, kShift1});
  }
  for (const std::string head : {"ns_head_nm", "mask_head_nm"}) {
    projections.push_back({head + ".ada_lin.1", "", kHeadVectors, 0, 1});
  }
  HMAR_ASSIGN_OR_RETURN(
      ClassVectorMaker maker,
      ClassVectorMaker::Create(weights, gemm_.get(), N, C_, kBlockVectors, stream));
  for (const Projection& projection : projections) {
    HMAR_RETURN_IF_ERROR(maker.Make(projection, out, class_stride_));
    out += projection.vectors * C_;
  }
  HMAR_CUDA_RETURN_IF_ERROR(cudaStreamSynchronize(stream));
  return absl::OkStatus();
}

}  // namespace hmar
