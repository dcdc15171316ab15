#ifndef HMAR_SERVER_SCHEDULING_PROBE_H_
#define HMAR_SERVER_SCHEDULING_PROBE_H_

#include <cstddef>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "model/config.h"
#include "server/scheduling/scheduler.h"

namespace hmar {

// Makes one image of model `model` (its first class, seed 0, its default sampling) on device
// `device` through the scheduler and says whether a picture of the model's size came. The server
// probes every model on every device before it takes clients' work: nobody's images are in line
// before these, and what is counted for clients leaves them out. Blocks; not for the engine loop's
// thread. DEADLINE_EXCEEDED: no picture within `timeout`, and the image is cancelled; INTERNAL: a
// picture of another size; else what Submit or the step said. Messages name the model.
absl::Status Probe(Scheduler* scheduler, size_t device, size_t model, const ModelConfig& config,
                   absl::Duration timeout);

}  // namespace hmar

#endif  // HMAR_SERVER_SCHEDULING_PROBE_H_
