#ifndef HMAR_KERNELS_ATTENTION_TILE_CUH_
#define HMAR_KERNELS_ATTENTION_TILE_CUH_

// 64 rows of q, k or v in shared memory: how they get there and how the tensor cores read them.
// Compute capability 8.0 and up.

#include <cuda_bf16.h>
#include <cuda_runtime_api.h>

#include <cstdint>

namespace hmar::kernels::attention {

inline constexpr int D = 64;  // Head size.
inline constexpr int kTileRows = 64;
inline constexpr int kGroupRows = 16;  // Rows of one MMA: a warp's queries, or a group of keys.
inline constexpr int kRowBytes = 2 * D;
inline constexpr int kGroupBytes = kGroupRows * kRowBytes;

inline constexpr float kLeastSquaredLength = 1e-24f;

// Of each row's eight 16-byte chunks, chunk c of row r lies at c ^ r % 8, so that neither copies
// nor ldmatrix meet bank conflicts.
struct alignas(128) Tile {
  char bytes[kTileRows * kRowBytes];
};

// ---- PTX ----------------------------------------------------------------------------------------

__device__ inline uint32_t SharedAddress(const void* p) {
  return static_cast<uint32_t>(__cvta_generic_to_shared(p));
}

// 16 bytes from global to shared memory, or 16 zero bytes without reading `from`.
__device__ inline void CopyAsync16(uint32_t to, const void* from, bool read) {
  const int bytes = read ? 16 : 0;
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to), "l"(from), "r"(bytes)
               : "memory");
}

__device__ inline void CommitCopies() { asm volatile("cp.async.commit_group;" ::: "memory"); }

// Until all but the latest kPending groups of this thread's copies have arrived.
template <int kPending>
__device__ inline void WaitCopies() {
  asm volatile("cp.async.wait_group %0;" ::"n"(kPending) : "memory");
}

// Four 8 x 8 matrices; lane l names row l % 8 of matrix l / 8.
__device__ inline void LoadMatrices(uint32_t (&m)[4], uint32_t address) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(m[0]), "=r"(m[1]), "=r"(m[2]), "=r"(m[3])
               : "r"(address)
               : "memory");
}

__device__ inline void LoadMatricesTransposed(uint32_t (&m)[4], uint32_t address) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(m[0]), "=r"(m[1]), "=r"(m[2]), "=r"(m[3])
               : "r"(address)
               : "memory");
}

// sum (16, 8) += a (16, 16) b (16, 8). A lane holds of `sum` the columns 2 (lane % 4) and the next,
// in rows lane / 4 (elements 0, 1) and lane / 4 + 8 (elements 2, 3).
__device__ inline void MultiplyAdd(float* sum, const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
  asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
      "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
      : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

__device__ inline float Exp2(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

__device__ inline uint32_t PackBf16(float low, float high) {
  const __nv_bfloat162 pair = __floats2bfloat162_rn(low, high);
  return reinterpret_cast<const uint32_t&>(pair);
}

// Over the four lanes that share a row of an accumulator.
__device__ inline float QuadMax(float x) {
  x = fmaxf(x, __shfl_xor_sync(~0u, x, 1));
  return fmaxf(x, __shfl_xor_sync(~0u, x, 2));
}

// ---- Tiles --------------------------------------------------------------------------------------

// Of (row, chunk) in a tile that starts at address 0; rows repeat every 8.
__device__ inline uint32_t ChunkOffset(int row, int chunk) {
  return row * kRowBytes + (chunk ^ row % 8) * 16;
}

// ldmatrix addresses of this lane in a tile. A step of 16 columns further flips bits of the chunk's
// place: XOR with its StepBits; a group of 16 rows further adds kGroupBytes.
__device__ constexpr uint32_t StepBits(int step) { return 32 * step; }

// Matrices in the order of an A operand, or, transposed, of the B operands of two times 8 columns:
// rows 0-7, rows 8-15, then the same of the next chunk.
__device__ inline uint32_t RowsFirstAddress(const Tile& tile) {
  const int lane = threadIdx.x % 32;
  return SharedAddress(&tile) + ChunkOffset(lane % 16, lane / 16);
}

// Matrices in the order of the B operands of two times 8 keys: two chunks of rows 0-7, then the
// same of rows 8-15.
__device__ inline uint32_t ChunksFirstAddress(const Tile& tile) {
  const int lane = threadIdx.x % 32;
  return SharedAddress(&tile) + ChunkOffset(lane % 8 + lane / 16 * 8, lane / 8 % 2);
}

__device__ inline const char* RowAddress(const void* base, uint32_t row, uint32_t row_bytes) {
  return static_cast<const char*>(base) + static_cast<uint64_t>(row) * row_bytes;
}

// Starts copying `rows` (1 to 64) rows from row `first` on, of one matrix or of two that lie
// `distance` bytes apart. What is left of the last group of 16 becomes zero without being read: it
// belongs to another segment. Groups beyond stay as they are.
template <int kMatrices>
__device__ inline void CopyRows(Tile* to, const char* from, uint32_t distance, uint32_t row_bytes,
                                int first, int rows) {
  int row = threadIdx.x / 8;
  const int chunk = threadIdx.x % 8;
  uint32_t to_chunk = SharedAddress(to) + ChunkOffset(row, chunk);
  const char* from_chunk = RowAddress(from, first + row, row_bytes) + 16 * chunk;
#pragma unroll
  for (int i = 0; i < kTileRows / kGroupRows; ++i) {
    if (kGroupRows * i >= rows) break;
#pragma unroll
    for (int m = 0; m < kMatrices; ++m) {
      CopyAsync16(to_chunk + m * sizeof(Tile), from_chunk + m * distance, row < rows);
    }
    row += kGroupRows;
    to_chunk += kGroupBytes;
    from_chunk += kGroupRows * row_bytes;
  }
}

// out[i] = scale / |row i| for one group of the tile's rows. The squared lengths are the diagonal
// of the group times its own transpose, whose operands are the same registers: A's matrices 0 and 2
// are B for the columns 0-7, 1 and 3 for the columns 8-15. Row i's and row i + 8's are with lane
// 4 i + i / 2.
__device__ inline void WriteFactors(float* out, const Tile& tile, int group, float scale) {
  const uint32_t address = RowsFirstAddress(tile) + group * kGroupBytes;
  float low[4] = {}, high[4] = {};  // (16, 8) each, of which the diagonals (8, 8) matter.
#pragma unroll
  for (int step = 0; step < D / 16; ++step) {
    uint32_t x[4];
    LoadMatrices(x, address ^ StepBits(step));
    MultiplyAdd(low, x, x[0], x[2]);
    MultiplyAdd(high, x, x[1], x[3]);
  }
  const int lane = threadIdx.x % 32;
  const int i = lane / 4;
  if (lane % 4 != i / 2) return;
  const float squares[2] = {i % 2 ? low[1] : low[0], i % 2 ? high[3] : high[2]};
  out[kGroupRows * group + i] = scale * rsqrtf(fmaxf(squares[0], kLeastSquaredLength));
  out[kGroupRows * group + i + 8] = scale * rsqrtf(fmaxf(squares[1], kLeastSquaredLength));
}

}  // namespace hmar::kernels::attention

#endif  // HMAR_KERNELS_ATTENTION_TILE_CUH_
