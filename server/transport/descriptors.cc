#include "server/transport/descriptors.h"

#include <sys/resource.h>
#include <unistd.h>

namespace hmar {

void Descriptor::Close() {
  if (fd_ >= 0) close(std::exchange(fd_, -1));
}

DescriptorLimit RaiseDescriptorLimit() {
  rlimit limit = {};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return {};
  const rlim_t before = limit.rlim_cur;
  limit.rlim_cur = limit.rlim_max;
  const bool raised = setrlimit(RLIMIT_NOFILE, &limit) == 0;
  return {before, raised ? limit.rlim_max : before};
}

}  // namespace hmar
