#ifndef HMAR_KERNELS_PICTURE_H_
#define HMAR_KERNELS_PICTURE_H_

// The ends of the autoencoder: feature maps and bytes, in and out. What all of these functions
// promise: bf16 and float pointers are 16-byte aligned, byte pointers 4-byte aligned; a count of 0
// is no work; cudaErrorInvalidValue names a shape or alignment beyond the limits; an image's, a
// pixel's or a row's result does not depend on what else the launch holds. Asynchronous on
// `stream`; allocate nothing. Safe in stream capture.

#include <cuda_bf16.h>
#include <cuda_runtime_api.h>

#include <cstdint>

namespace hmar::kernels {

// Copies feature maps out of slots for the decoder: out_BPPZ[b] = bf16(f_hat_PPZ[slots[b]]). slots
// (B) on the device; floats: P * P * Z, a multiple of 4.
cudaError_t GatherFeatures(const float* f_hat_PPZ, const int32_t* slots_B, int B, int64_t floats,
                           __nv_bfloat16* out_BPPZ, cudaStream_t stream);

// out = floor(255 (x + 1) / 2 + 0.5) of x clamped to [-1, 1], each operation rounded to fp32, as
// uint8; NaN gives some byte. x_BNC: B pictures of N pixels of which the first three of C channels
// (C at least 3) are RGB, fp32; out_BN3. failed_B (B, 4-byte aligned): 1 for each picture that has
// a value of these that is not finite; left as it is for the others. Null: nobody asks.
struct PictureBytesArgs {
  const float* x_BNC = nullptr;
  int B = 0;
  int64_t N = 0;
  int C = 3;
  uint8_t* out_BN3 = nullptr;
  int32_t* failed_B = nullptr;
};
cudaError_t PictureBytes(const PictureBytesArgs& args, cudaStream_t stream);

// Pixels for the encoder: 2 rgb - 255, which is 255 x of x = rgb / 127.5 - 1 and exact in bf16, and
// five zeros.
cudaError_t EncoderPixels(const uint8_t* rgb_N3, int64_t pixels, __nv_bfloat16* out_N8,
                          cudaStream_t stream);

// Softmax of each row: out = bf16(softmax(x)). x (rows, n) fp32, n 1 to 4,096; maximum and sum in
// fp32.
cudaError_t SoftmaxRows(const float* x, int64_t rows, int n, __nv_bfloat16* out,
                        cudaStream_t stream);

// FAST previews: each cell of the feature map becomes q x q pixels, a linear function of its 3 x 3
// neighbourhood (zeros beyond the border) of Z channels. weight (9 * Z, 3 * q * q), inputs tap by
// tap, row by row, Z within a tap; outputs channel, then pixel row, then pixel column; bias
// (3 * q * q). Sums in fp32, in an order that depends on P and Z alone. Bytes as PictureBytes.
struct FastPreviewArgs {
  const float* f_hat_PPZ = nullptr;  // (slots, P * P, Z)
  const int32_t* slots_B = nullptr;  // On the device.
  int B = 0;
  int P = 0;  // 1 to 64
  int Z = 0;  // A multiple of 4, at most 64.
  int q = 0;  // 1 to 4
  const float* weight = nullptr;
  const float* bias = nullptr;
  uint8_t* out_B = nullptr;  // (B, qP, qP, 3)
};
cudaError_t FastPreview(const FastPreviewArgs& args, cudaStream_t stream);

}  // namespace hmar::kernels

#endif  // HMAR_KERNELS_PICTURE_H_
