#ifndef HMAR_SERVER_SCHEDULING_ADMISSION_H_
#define HMAR_SERVER_SCHEDULING_ADMISSION_H_

#include <cstdint>

#include "absl/time/time.h"
#include "server/scheduling/work.h"

namespace hmar {

// What an accepted request can be told. Estimates are zero before any step of its model.
struct Admission {
  WorkId id = 0;
  // Images that will run before this request's first, or beside it: what its priority and its
  // principal's share let go before it.
  uint32_t images_ahead = 0;
  // Until its last image, from the measured cost of a row and of a step.
  absl::Duration estimated_time;
  // Its own share of that.
  double estimated_device_seconds = 0;
};

}  // namespace hmar

#endif  // HMAR_SERVER_SCHEDULING_ADMISSION_H_
