#ifndef HMAR_SERVER_SCHEDULING_SCHEDULER_OPTIONS_H_
#define HMAR_SERVER_SCHEDULING_SCHEDULER_OPTIONS_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/time/time.h"
#include "model/engine.h"
#include "server/scheduling/batch_policy.h"

namespace hmar {

// How many images may wait for work of a priority to be taken, given how many at priority 0: an
// eighth more above it and an eighth less below, so that a line of what can wait never turns away
// what goes before it. None of them ever waits beyond the room of the highest.
constexpr uint32_t QueueRoom(uint32_t at_zero, int priority) {
  const uint32_t eighth = at_zero / 8;
  return priority > 0 ? at_zero + eighth : priority < 0 ? at_zero - eighth : at_zero;
}

struct SchedulerOptions {
  // Images that may wait at priority 0, over all models and of a client; QueueRoom has the others.
  // A larger queue only adds latency.
  uint32_t max_queued_images = 2048;
  uint32_t max_queued_images_per_client = 1024;
  // Only work of the server's own (Work::probe) is taken until OpenToClients.
  bool starts_closed = false;
  // Token budget of a step, in forward rows; an image larger than it runs alone.
  uint32_t max_step_rows = 4096;
  // Slots of each model on a device that only a priority above 0, or a principal that runs nothing
  // there, may take. Never more than a quarter of them.
  uint32_t reserved_slots = 0;
  // How much longer an image must have waited than one of the next higher priority to go before it.
  absl::Duration aging = absl::Minutes(1);
  // What the tokens of uploaded pictures may take, over all models.
  size_t upload_cache_bytes = size_t{32} << 20;
  StepPolicy policy = ChooseStep;
  // By device, then by model: at least one device, the same models on each. max_images (> 0) bounds
  // a model's running images there, max_step_rows its steps.
  std::vector<std::vector<EngineInfo>> devices;

  // What the models are, whatever the device.
  const std::vector<EngineInfo>& models() const { return devices.front(); }
  // Token budget of a model's steps on a device.
  uint32_t StepRows(size_t device, size_t model) const {
    const uint32_t engines_own = devices[device][model].max_step_rows;
    return engines_own == 0 ? max_step_rows : std::min(max_step_rows, engines_own);
  }
  uint32_t ReservedSlots(size_t device, size_t model) const {
    return std::min(reserved_slots, devices[device][model].max_images / 4);
  }
};

}  // namespace hmar

#endif  // HMAR_SERVER_SCHEDULING_SCHEDULER_OPTIONS_H_
