#include "model/cuda/cuda_transformer.h"

#include <cmath>

#include "model/cuda/adaln_layout.h"

namespace hmar {

kernels::NormModulation CudaTransformer::Modulation(int64_t scale, int64_t shift) const {
  return {scale, shift, static_cast<float>(config_.transformer.norm_eps)};
}

kernels::NormModulation CudaTransformer::Before(const Block& block, bool feed_forward) const {
  return Modulation(block.vectors + (feed_forward ? kScale2 : kScale1) * C_,
                    block.vectors + (feed_forward ? kShift2 : kShift1) * C_);
}

kernels::NormModulation CudaTransformer::BeforeHead(bool mask) const {
  const auto blocks = static_cast<int64_t>(base_.size() + ns_.size() + mask_.size());
  const int64_t scale = (blocks * kBlockVectors + (mask ? kHeadVectors : 0)) * C_;
  return Modulation(scale, scale + C_);
}

kernels::ClassVectors CudaTransformer::ClassesOf(const PackedRows& rows,
                                                 const RowRange& range) const {
  return {class_vectors_, class_stride_, rows.class_of_row_T + range.first};
}

kernels::Fp8Rows CudaTransformer::Fp8Of(const RowRange& range, int64_t width) const {
  return {fp8_.Of(range, width), fp8_scale_.Of(range, 1)};
}

// The norms' output as the layers that follow read it.
GemmInput CudaTransformer::Normed(const RowRange& range) const {
  if (fp8()) return Fp8Of(range, C_);
  return normed_.Of(range, C_);
}

// x, the range's (rows, width), as the layer that follows reads it.
absl::StatusOr<GemmInput> CudaTransformer::Quantized(const __nv_bfloat16* x, const RowRange& range,
                                                     int64_t width, cudaStream_t stream) const {
  if (!fp8()) return x;
  const kernels::Fp8Rows out = Fp8Of(range, width);
  HMAR_CUDA_RETURN_IF_ERROR(
      kernels::QuantizeRows(x, range.rows, static_cast<int>(width), out, stream));
  return out;
}

absl::Status CudaTransformer::NormFirst(const Block& block, const PackedRows& rows,
                                        const Range& range, cudaStream_t stream) {
  const kernels::ClassVectors classes = ClassesOf(rows, range);
  const kernels::NormModulation next = Before(block, /*feed_forward=*/false);
  const auto C = static_cast<int>(C_);
  HMAR_CUDA_RETURN_IF_ERROR(fp8() ? kernels::NormModulate(XOf(range), Fp8Of(range, C_), range.rows,
                                                          C, classes, next, stream)
                                  : kernels::NormModulate(XOf(range), normed_.Of(range, C_),
                                                          range.rows, C, classes, next, stream));
  return absl::OkStatus();
}

// branch: what is added to the range's x.
absl::Status CudaTransformer::GateThenNorm(const __nv_bfloat16* branch, const PackedRows& rows,
                                           const Range& range, int64_t gamma,
                                           const kernels::NormModulation& next, bool to_fp8,
                                           cudaStream_t stream) {
  const kernels::ClassVectors classes = ClassesOf(rows, range);
  const auto C = static_cast<int>(C_);
  HMAR_CUDA_RETURN_IF_ERROR(
      to_fp8 ? kernels::GateNormModulate(XOf(range), branch, Fp8Of(range, C_), range.rows, C,
                                         classes, gamma, next, stream)
             : kernels::GateNormModulate(XOf(range), branch, normed_.Of(range, C_), range.rows, C,
                                         classes, gamma, next, stream));
  return absl::OkStatus();
}

// Of the q, k, v in `wide_`, into `normed_`. Tiles count rows of the whole step.
absl::Status CudaTransformer::RunAttention(const Block& block, const Range& range,
                                           cudaStream_t stream) {
  kernels::SegmentAttentionArgs attention;
  attention.qkv_T3C = wide_.AsStep(range, 3 * C_);
  attention.out_TC = normed_.AsStep(range, C_);
  attention.tiles = range.tiles;
  attention.tile_count = range.tile_count;
  attention.heads = static_cast<int>(H_);
  attention.head_scale_H = block.head_scale_H;
  attention.plain_scale = 0.25f / std::sqrt(static_cast<float>(kernels::kAttentionHeadSize));
  HMAR_CUDA_RETURN_IF_ERROR(kernels::SegmentAttention(attention, stream));
  return absl::OkStatus();
}

// Blocks over a range whose first norm is done. Each gated residual is fused with the norm that
// follows it; the last block's is left to the caller, who knows what follows.
absl::Status CudaTransformer::RunStack(const std::vector<Block>& stack, const PackedRows& rows,
                                       const Range& range, cudaStream_t stream) {
  const int64_t n = range.rows;
  __nv_bfloat16* const attended = normed_.Of(range, C_);
  __nv_bfloat16* const branch = branch_.Of(range, C_);
  __nv_bfloat16* const qkv = wide_.Of(range, 3 * C_);
  __nv_bfloat16* const hidden = wide_.Of(range, F_);
  for (size_t i = 0; i < stack.size(); ++i) {
    const Block& block = stack[i];
    HMAR_RETURN_IF_ERROR(gemm_->Run(block.qkv, Epilogue::kBias, Normed(range), n, qkv, stream));
    HMAR_RETURN_IF_ERROR(RunAttention(block, range, stream));
    HMAR_ASSIGN_OR_RETURN(const GemmInput to_proj, Quantized(attended, range, C_, stream));
    HMAR_RETURN_IF_ERROR(gemm_->Run(block.proj, Epilogue::kBias, to_proj, n, branch, stream));
    HMAR_RETURN_IF_ERROR(GateThenNorm(branch, rows, range, block.vectors + kGamma1 * C_,
                                      Before(block, /*feed_forward=*/true), fp8(), stream));
    HMAR_RETURN_IF_ERROR(
        gemm_->Run(block.fc1, Epilogue::kBiasGelu, Normed(range), n, hidden, stream));
    HMAR_ASSIGN_OR_RETURN(const GemmInput to_fc2, Quantized(hidden, range, F_, stream));
    HMAR_RETURN_IF_ERROR(gemm_->Run(block.fc2, Epilogue::kBias, to_fc2, n, branch, stream));
    if (i + 1 < stack.size()) {
      HMAR_RETURN_IF_ERROR(GateThenNorm(branch, rows, range, block.vectors + kGamma2 * C_,
                                        Before(stack[i + 1], false), fp8(), stream));
    }
  }
  return absl::OkStatus();
}

// From the base blocks, which ran over `all` rows, to the ns or mask blocks: the last residual and
// the first norm of the range's rows.
absl::Status CudaTransformer::EnterStack(const std::vector<Block>& stack, const PackedRows& rows,
                                         const Range& all, const Range& range,
                                         cudaStream_t stream) {
  if (base_.empty()) return NormFirst(stack.front(), rows, range, stream);
  return GateThenNorm(branch_.Of(all, C_) + range.first * C_, rows, range,
                      base_.back().vectors + kGamma2 * C_, Before(stack.front(), false), fp8(),
                      stream);
}

absl::Status CudaTransformer::RunTop(const std::vector<Block>& stack, const LinearWeights& head,
                                     bool mask, const PackedRows& rows, const Range& range,
                                     cudaStream_t stream) {
  if (range.rows == 0) return absl::OkStatus();
  HMAR_RETURN_IF_ERROR(RunStack(stack, rows, range, stream));
  HMAR_RETURN_IF_ERROR(GateThenNorm(branch_.Of(range, C_), rows, range,
                                    stack.back().vectors + kGamma2 * C_, BeforeHead(mask),
                                    /*to_fp8=*/false, stream));
  return gemm_->Run(head, Epilogue::kBias, normed_.Of(range, C_), range.rows,
                    logits_ + range.first * V_, stream);
}

absl::Status CudaTransformer::Forward(const PackedRows& rows, cudaStream_t stream) {
  const Range all = {{0, rows.rows()}, rows.tiles, rows.ns_tiles + rows.mask_tiles};
  const Range ns = {{0, rows.ns_rows}, rows.tiles, rows.ns_tiles};
  const Range mask = {{rows.ns_rows, rows.mask_rows}, rows.tiles + rows.ns_tiles, rows.mask_tiles};
  if (!base_.empty()) {
    HMAR_RETURN_IF_ERROR(NormFirst(base_.front(), rows, all, stream));
    HMAR_RETURN_IF_ERROR(RunStack(base_, rows, all, stream));
  }
  // Both, before either stack runs: what the base blocks left is one matrix of all rows, and the
  // stacks have its memory.
  HMAR_RETURN_IF_ERROR(EnterStack(ns_, rows, all, ns, stream));
  HMAR_RETURN_IF_ERROR(EnterStack(mask_, rows, all, mask, stream));
  HMAR_RETURN_IF_ERROR(RunTop(ns_, ns_head_, /*mask=*/false, rows, ns, stream));
  return RunTop(mask_, mask_head_, /*mask=*/true, rows, mask, stream);
}

}  // namespace hmar
