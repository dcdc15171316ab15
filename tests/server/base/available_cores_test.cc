#include "server/base/available_cores.h"

#include <gtest/gtest.h>
#include <sched.h>

#include <filesystem>
#include <fstream>

namespace hmar {
namespace {

class CoresOfQuotaTest : public testing::Test {
 protected:
  CoresOfQuotaTest() : root_(testing::TempDir() + "/cgroup-" + std::to_string(getpid())) {}
  ~CoresOfQuotaTest() override { std::filesystem::remove_all(root_); }

  void Write(const std::string& file, const std::string& text) {
    const std::filesystem::path path = root_ / file;
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path) << text;
  }

  uint32_t Of(const std::string& groups) { return CoresOfQuota(groups, root_.string()); }

  const std::filesystem::path root_;
};

TEST_F(CoresOfQuotaTest, Version2IsRoundedUpAndMaxIsNone) {
  Write("pod/server/cpu.max", "150000 100000\n");
  EXPECT_EQ(Of("0::/pod/server\n"), 2U);
  Write("pod/server/cpu.max", "20000 100000\n");
  EXPECT_EQ(Of("0::/pod/server\n"), 1U);
  Write("pod/server/cpu.max", "max 100000\n");
  EXPECT_EQ(Of("0::/pod/server\n"), 0U);
}

TEST_F(CoresOfQuotaTest, TheLeastOfTheGroupsAboveCounts) {
  Write("pod/server/cpu.max", "400000 100000\n");
  Write("pod/cpu.max", "300000 100000\n");
  Write("cpu.max", "max 100000\n");
  EXPECT_EQ(Of("0::/pod/server\n"), 3U);
}

TEST_F(CoresOfQuotaTest, Version1HasItsControllersFolder) {
  Write("cpu,cpuacct/box/cpu.cfs_quota_us", "250000\n");
  Write("cpu,cpuacct/box/cpu.cfs_period_us", "100000\n");
  Write("cpuset/box/cpu.cfs_quota_us", "100000\n");
  Write("cpuset/box/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(Of("5:cpuset:/box\n4:cpu,cpuacct:/box\n0::/\n"), 3U);
  Write("cpu,cpuacct/box/cpu.cfs_quota_us", "-1\n");
  EXPECT_EQ(Of("5:cpuset:/box\n4:cpu,cpuacct:/box\n0::/\n"), 0U);
}

TEST_F(CoresOfQuotaTest, APathOfAnotherNamespaceFallsBackToWhatIsMounted) {
  Write("cpu.max", "100000 100000\n");
  EXPECT_EQ(Of("0::/../../docker/0123\n"), 1U);
}

TEST_F(CoresOfQuotaTest, WhatIsNoneOfThatIsNoQuota) {
  Write("a/cpu.max", "many few\n");
  EXPECT_EQ(Of("0::/a\n"), 0U);
  EXPECT_EQ(Of("no lines at all"), 0U);
  EXPECT_EQ(Of(""), 0U);
}

TEST(AvailableCoresTest, AThreadThatMayRunOnOneCoreHasOne) {
  cpu_set_t before;
  ASSERT_EQ(sched_getaffinity(0, sizeof(before), &before), 0);
  int first = 0;
  while (!CPU_ISSET(first, &before)) ++first;
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(first, &one);
  ASSERT_EQ(sched_setaffinity(0, sizeof(one), &one), 0);
  const uint32_t cores = AvailableCores();
  ASSERT_EQ(sched_setaffinity(0, sizeof(before), &before), 0);
  EXPECT_EQ(cores, 1U);
  EXPECT_GE(AvailableCores(), 1U);
}

}  // namespace
}  // namespace hmar
