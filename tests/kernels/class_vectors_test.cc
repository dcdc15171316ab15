#include "kernels/class_vectors.h"

#include <gtest/gtest.h>

#include <vector>

#include "tests/kernels/device_array.h"

namespace hmar {
namespace {

TEST(ClassVectors, AddBiasAndTheOneOfScalesAndKeepTheirStride) {
  HMAR_SKIP_WITHOUT_GPU();
  constexpr int kClasses = 3;
  constexpr int64_t kWidth = 600, kStride = 640, kFirstScale = 200, kFirstShift = 401;
  std::vector<float> product(kClasses * kWidth), bias(kWidth);
  for (size_t i = 0; i < product.size(); ++i) product[i] = static_cast<float>(i % 97) / 8 - 6;
  for (size_t i = 0; i < bias.size(); ++i) bias[i] = static_cast<float>(i % 13) / 4;
  const DeviceArray<float> device_product(product), device_bias(bias);
  const DeviceArray<__nv_bfloat16> out(kClasses * kStride);
  CheckCuda(kernels::StoreClassVectors(device_product.data(), device_bias.data(), kClasses, kWidth,
                                       kFirstScale, kFirstShift, out.data(), kStride, nullptr));
  const std::vector<__nv_bfloat16> got = out.Download();
  for (int n = 0; n < kClasses; ++n) {
    for (int64_t i = 0; i < kWidth; ++i) {
      const float one = i >= kFirstScale && i < kFirstShift ? 1.0f : 0.0f;
      const float wanted = product[n * kWidth + i] + bias[i] + one;
      ASSERT_EQ(__bfloat162float(got[n * kStride + i]), __bfloat162float(__float2bfloat16(wanted)))
          << n << ", " << i;
    }
    for (int64_t i = kWidth; i < kStride; ++i) {  // Poison.
      ASSERT_NE(__bfloat162float(got[n * kStride + i]), __bfloat162float(got[n * kStride + i]));
    }
  }
}

TEST(ClassVectors, TakeNoClassesAndRefuseBadCounts) {
  HMAR_SKIP_WITHOUT_GPU();
  EXPECT_EQ(kernels::StoreClassVectors(nullptr, nullptr, 0, 8, 0, 1, nullptr, 8, nullptr),
            cudaSuccess);
  EXPECT_EQ(kernels::StoreClassVectors(nullptr, nullptr, -1, 8, 0, 1, nullptr, 8, nullptr),
            cudaErrorInvalidValue);
}

}  // namespace
}  // namespace hmar
