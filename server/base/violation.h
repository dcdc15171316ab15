#ifndef HMAR_SERVER_BASE_VIOLATION_H_
#define HMAR_SERVER_BASE_VIOLATION_H_

#include <string>

#include "server/base/error_reasons.h"

namespace hmar {

// One broken rule of a request.
struct Violation {
  Reason reason;
  std::string field;  // Dotted path in the request: "sampling.mask_schedule.scales[2].tokens".
  std::string description;  // Names the value and the limit.
};

}  // namespace hmar

#endif  // HMAR_SERVER_BASE_VIOLATION_H_
