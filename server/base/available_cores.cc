#include "server/base/available_cores.h"

#include <sched.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"

namespace hmar {
namespace {

std::string TextOf(const std::filesystem::path& path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

// 0: "max", -1, or no numbers.
uint32_t Cores(const std::string& quota, const std::string& period) {
  int64_t of_time = 0, time = 0;
  if (!absl::SimpleAtoi(quota, &of_time) || !absl::SimpleAtoi(period, &time)) return 0;
  if (of_time <= 0 || time <= 0) return 0;
  return static_cast<uint32_t>(std::min<int64_t>((of_time + time - 1) / time, UINT32_MAX));
}

uint32_t CoresOfGroup(const std::filesystem::path& group) {
  const std::vector<std::string> limit =
      absl::StrSplit(TextOf(group / "cpu.max"), absl::ByAnyChar(" \n"), absl::SkipEmpty());
  if (limit.size() == 2) return Cores(limit[0], limit[1]);
  return Cores(TextOf(group / "cpu.cfs_quota_us"), TextOf(group / "cpu.cfs_period_us"));
}

// The least of the group's and those above it, up to `root`.
uint32_t LeastUpTo(const std::filesystem::path& root, std::filesystem::path group) {
  uint32_t least = 0;
  while (true) {
    const uint32_t cores = CoresOfGroup(root / group);
    if (cores > 0 && (least == 0 || cores < least)) least = cores;
    if (group.empty()) return least;
    group = group.parent_path();
  }
}

}  // namespace

uint32_t CoresOfQuota(const std::string& own_groups, const std::string& mounted) {
  uint32_t least = 0;
  // A line is ID:CONTROLLERS:PATH; version 2 has no controllers.
  for (const auto& line : absl::StrSplit(own_groups, '\n', absl::SkipEmpty())) {
    const std::vector<std::string> parts = absl::StrSplit(line, absl::MaxSplits(':', 2));
    if (parts.size() != 3) continue;
    const std::vector<std::string> controllers = absl::StrSplit(parts[1], ',');
    if (!parts[1].empty() &&
        std::find(controllers.begin(), controllers.end(), "cpu") == controllers.end()) {
      continue;
    }
    std::filesystem::path group = std::filesystem::path(parts[2]).relative_path();
    if (absl::StartsWith(group.string(), "..")) group.clear();  // Of another namespace than ours.
    const uint32_t cores = LeastUpTo(std::filesystem::path(mounted) / parts[1], group);
    if (cores > 0 && (least == 0 || cores < least)) least = cores;
  }
  return least;
}

uint32_t AvailableCores() {
  cpu_set_t mask;
  const bool known = sched_getaffinity(0, sizeof(mask), &mask) == 0;  // Not on more than 1,024.
  const uint32_t cores = known ? static_cast<uint32_t>(CPU_COUNT(&mask))
                               : std::max(1U, std::thread::hardware_concurrency());
  const uint32_t quota = CoresOfQuota(TextOf("/proc/self/cgroup"), "/sys/fs/cgroup");
  return quota == 0 ? cores : std::min(cores, quota);
}

}  // namespace hmar
