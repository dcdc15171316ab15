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

kernels::ClassVectors CudaTransformer::ClassesOf(const PackedRows& rows, int64_t first_row) const {
  return {class_vectors_, class_stride_, rows.class_of_row_T + first_row};
}

// Where the fp8 inputs (., width) of the rows from `row` on lie: from a whole group on, for
// cuBLASLt wants its scales aligned.
kernels::Fp8Rows CudaTransformer::Fp8At(int64_t row, int64_t width) const {
  const int64_t first = (row + kFp8RowGroup - 1) / kFp8RowGroup * kFp8RowGroup;
  return {fp8_.rows_TC + first * width, fp8_.scale_T + first};
}

// The norms' output, from row `row` on, as the layers that follow read it.
GemmInput CudaTransformer::Normed(int64_t row) const {
  if (fp8()) return Fp8At(row, C_);
  return normed_ + row * C_;
}

// x (rows, width), rows of the step from `row` on, as the layer that follows reads it.
absl::StatusOr<GemmInput> CudaTransformer::Quantized(const __nv_bfloat16* x, int64_t row,
                                                     int64_t rows, int64_t width,
                                                     cudaStream_t stream) const {
  if (!fp8()) return x;
  const kernels::Fp8Rows out = Fp8At(row, width);
  HMAR_CUDA_RETURN_IF_ERROR(kernels::QuantizeRows(x, rows, static_cast<int>(width), out, stream));
  return out;
}

absl::Status CudaTransformer::NormFirst(const Block& block, const PackedRows& rows,
                                        const Range& range, cudaStream_t stream) {
  const int64_t at = range.first_row * C_;
  const kernels::Fp8Rows fp8_out = Fp8At(range.first_row, C_);
  const kernels::ClassVectors classes = ClassesOf(rows, range.first_row);
  const kernels::NormModulation next = Before(block, /*feed_forward=*/false);
  const auto C = static_cast<int>(C_);
  HMAR_CUDA_RETURN_IF_ERROR(
      fp8() ? kernels::NormModulate(x_ + at, fp8_out, range.rows, C, classes, next, stream)
            : kernels::NormModulate(x_ + at, normed_ + at, range.rows, C, classes, next, stream));
  return absl::OkStatus();
}

absl::Status CudaTransformer::GateThenNorm(const PackedRows& rows, const Range& range,
                                           int64_t gamma, const kernels::NormModulation& next,
                                           bool to_fp8, cudaStream_t stream) {
  const int64_t at = range.first_row * C_;
  const kernels::Fp8Rows fp8_out = Fp8At(range.first_row, C_);
  const kernels::ClassVectors classes = ClassesOf(rows, range.first_row);
  const auto C = static_cast<int>(C_);
  HMAR_CUDA_RETURN_IF_ERROR(
      to_fp8 ? kernels::GateNormModulate(x_ + at, branch_ + at, fp8_out, range.rows, C, classes,
                                         gamma, next, stream)
             : kernels::GateNormModulate(x_ + at, branch_ + at, normed_ + at, range.rows, C,
                                         classes, gamma, next, stream));
  return absl::OkStatus();
}

// Of the q, k, v in `wide_`, into `normed_`.
absl::Status CudaTransformer::RunAttention(const Block& block, const Range& range,
                                           cudaStream_t stream) {
  kernels::SegmentAttentionArgs attention;
  attention.qkv_T3C = wide_;  // Tiles count rows of the whole step.
  attention.out_TC = normed_;
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
  const int64_t row = range.first_row, n = range.rows, at = row * C_;
  __nv_bfloat16* const qkv = wide_ + 3 * at;
  __nv_bfloat16* const hidden = wide_ + row * F_;
  for (size_t i = 0; i < stack.size(); ++i) {
    const Block& block = stack[i];
    HMAR_RETURN_IF_ERROR(gemm_->Run(block.qkv, Epilogue::kBias, Normed(row), n, qkv, stream));
    HMAR_RETURN_IF_ERROR(RunAttention(block, range, stream));
    HMAR_ASSIGN_OR_RETURN(const GemmInput attended, Quantized(normed_ + at, row, n, C_, stream));
    HMAR_RETURN_IF_ERROR(
        gemm_->Run(block.proj, Epilogue::kBias, attended, n, branch_ + at, stream));
    HMAR_RETURN_IF_ERROR(GateThenNorm(rows, range, block.vectors + kGamma1 * C_,
                                      Before(block, /*feed_forward=*/true), fp8(), stream));
    HMAR_RETURN_IF_ERROR(
        gemm_->Run(block.fc1, Epilogue::kBiasGelu, Normed(row), n, hidden, stream));
    HMAR_ASSIGN_OR_RETURN(const GemmInput activated, Quantized(hidden, row, n, F_, stream));
    HMAR_RETURN_IF_ERROR(
        gemm_->Run(block.fc2, Epilogue::kBias, activated, n, branch_ + at, stream));
    if (i + 1 < stack.size()) {
      HMAR_RETURN_IF_ERROR(GateThenNorm(rows, range, block.vectors + kGamma2 * C_,
                                        Before(stack[i + 1], false), fp8(), stream));
    }
  }
  return absl::OkStatus();
}

// From the base blocks to the ns or mask blocks: the last residual and the first norm.
absl::Status CudaTransformer::EnterStack(const std::vector<Block>& stack, const PackedRows& rows,
                                         const Range& range, cudaStream_t stream) {
  if (base_.empty()) return NormFirst(stack.front(), rows, range, stream);
  return GateThenNorm(rows, range, base_.back().vectors + kGamma2 * C_,
                      Before(stack.front(), false), fp8(), stream);
}

absl::Status CudaTransformer::RunTop(const std::vector<Block>& stack, const LinearWeights& head,
                                     bool mask, const PackedRows& rows, const Range& range,
                                     cudaStream_t stream) {
  if (range.rows == 0) return absl::OkStatus();
  HMAR_RETURN_IF_ERROR(RunStack(stack, rows, range, stream));
  HMAR_RETURN_IF_ERROR(GateThenNorm(rows, range, stack.back().vectors + kGamma2 * C_,
                                    BeforeHead(mask), /*to_fp8=*/false, stream));
  return gemm_->Run(head, Epilogue::kBias, normed_ + range.first_row * C_, range.rows,
                    logits_ + range.first_row * V_, stream);
}

absl::Status CudaTransformer::Forward(const PackedRows& rows, cudaStream_t stream) {
  const Range all = {0, rows.rows(), rows.tiles, rows.ns_tiles + rows.mask_tiles};
  const Range ns = {0, rows.ns_rows, rows.tiles, rows.ns_tiles};
  const Range mask = {rows.ns_rows, rows.mask_rows, rows.tiles + rows.ns_tiles, rows.mask_tiles};
  if (!base_.empty()) {
    HMAR_RETURN_IF_ERROR(NormFirst(base_.front(), rows, all, stream));
    HMAR_RETURN_IF_ERROR(RunStack(base_, rows, all, stream));
  }
  // Both, before either stack runs: an fp8 layer may write some rows past its range's end into
  // `wide_` and `branch_`, and here the mask rows' branch is still wanted.
  HMAR_RETURN_IF_ERROR(EnterStack(ns_, rows, ns, stream));
  HMAR_RETURN_IF_ERROR(EnterStack(mask_, rows, mask, stream));
  HMAR_RETURN_IF_ERROR(RunTop(ns_, ns_head_, /*mask=*/false, rows, ns, stream));
  return RunTop(mask_, mask_head_, /*mask=*/true, rows, mask, stream);
}

}  // namespace hmar
