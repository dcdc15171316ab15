#include "kernels/fp8_rows.h"

#include "kernels/dependent_launch.cuh"
#include "kernels/row_slice.cuh"

namespace hmar::kernels {
namespace {

template <typename S>
__global__ void __launch_bounds__(S::kBlock)
    Quantize(const __nv_bfloat16* x_TC, int64_t T, int C, Fp8Rows out) {
  const int64_t row = S::Row();
  if (row >= T) return;  // A warp as a whole.
  AwaitPredecessor();
  Slice<S> x;
  x.Load(x_TC + row * C, C);
  StoreFp8(x, row, C, out);
}

}  // namespace

cudaError_t QuantizeRows(const __nv_bfloat16* x_TC, int64_t T, int C, const Fp8Rows& out,
                         cudaStream_t stream) {
  if (T == 0) return cudaSuccess;
  if (T < 0 || T > INT32_MAX || C <= 0 || C > kMaxFp8RowC || C % 16 != 0 || !Aligned(x_TC) ||
      !Aligned(out)) {
    return cudaErrorInvalidValue;
  }
  return WithSplit(C, [&](auto split) {
    using S = decltype(split);
    return LaunchDependent(Quantize<S>, Blocks(split, T), S::kBlock, 0, stream, x_TC, T, C, out);
  });
}

}  // namespace hmar::kernels
