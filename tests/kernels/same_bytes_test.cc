#include "kernels/same_bytes.h"

#include <gtest/gtest.h>

#include <vector>

#include "tests/kernels/device_array.h"

namespace hmar {
namespace {

bool Differ(const DeviceArray<uint8_t>& a, const DeviceArray<uint8_t>& b, int64_t bytes) {
  const DeviceArray<int32_t> differ(std::vector<int32_t>{0});
  CheckCuda(kernels::CompareBytes(a.data(), b.data(), bytes, differ.data(), nullptr));
  return differ.Download()[0] != 0;
}

// More than one round of every thread, counts with and without a rest.
constexpr int64_t kCounts[] = {1, 15, 16, 17, 4096, 4099, int64_t{48} << 20};

TEST(SameBytesTest, FindsOneOtherByteWhereverItIs) {
  HMAR_SKIP_WITHOUT_GPU();
  for (const int64_t bytes : kCounts) {
    std::vector<uint8_t> values(bytes);
    for (int64_t i = 0; i < bytes; ++i) values[i] = static_cast<uint8_t>(i * 31 + i / 251);
    const DeviceArray<uint8_t> a(values), b(values);
    EXPECT_FALSE(Differ(a, b, bytes)) << bytes;
    for (const int64_t at : {int64_t{0}, bytes / 3, bytes / 2, bytes - 1}) {
      const auto other = static_cast<uint8_t>(values[at] ^ 0x10);
      CheckCuda(cudaMemcpy(b.data() + at, &other, 1, cudaMemcpyHostToDevice));
      EXPECT_TRUE(Differ(a, b, bytes)) << at << " of " << bytes;
      EXPECT_FALSE(Differ(a, b, at)) << "up to " << at << " of " << bytes;
      CheckCuda(cudaMemcpy(b.data() + at, &values[at], 1, cudaMemcpyHostToDevice));
    }
  }
}

TEST(SameBytesTest, ADifferenceFoundBeforeStays) {
  HMAR_SKIP_WITHOUT_GPU();
  const DeviceArray<uint8_t> a(std::vector<uint8_t>(64, 3));
  const DeviceArray<int32_t> differ(std::vector<int32_t>{1});
  CheckCuda(kernels::CompareBytes(a.data(), a.data(), 64, differ.data(), nullptr));
  EXPECT_EQ(differ.Download()[0], 1);
}

TEST(SameBytesTest, RefusesWhatIsNotAligned) {
  HMAR_SKIP_WITHOUT_GPU();
  const DeviceArray<uint8_t> a(64);
  EXPECT_EQ(kernels::CompareBytes(a.data() + 8, a.data(), 16, nullptr, nullptr),
            cudaErrorInvalidValue);
  EXPECT_EQ(kernels::CompareBytes(a.data(), a.data(), -1, nullptr, nullptr), cudaErrorInvalidValue);
  EXPECT_EQ(kernels::CompareBytes(a.data(), a.data(), 0, nullptr, nullptr), cudaSuccess);
}

}  // namespace
}  // namespace hmar
