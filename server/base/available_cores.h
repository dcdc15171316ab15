#ifndef HMAR_SERVER_BASE_AVAILABLE_CORES_H_
#define HMAR_SERVER_BASE_AVAILABLE_CORES_H_

#include <cstdint>
#include <string>

namespace hmar {

// The cores that this process may use at the same time: those of its affinity mask, or as many as
// its control group's quota is worth, rounded up, where that is less; at least 1. A container that
// may use one core of 64 counts one: threads that outnumber what runs wait for each other at every
// barrier. Thread-safe.
uint32_t AvailableCores();

// What the quotas of control groups are worth, in cores, rounded up; 0: there is none. Of version 2
// (cpu.max) and of version 1 (cpu.cfs_quota_us), of the process's group and of those above it.
// `own_groups`: what /proc/self/cgroup says; `mounted`: where the groups are, /sys/fs/cgroup.
uint32_t CoresOfQuota(const std::string& own_groups, const std::string& mounted);

}  // namespace hmar

#endif  // HMAR_SERVER_BASE_AVAILABLE_CORES_H_
