#ifndef HMAR_TESTS_SIM_DEVICE_PROFILE_H_
#define HMAR_TESTS_SIM_DEVICE_PROFILE_H_

#include <cstddef>
#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "model/config.h"

namespace hmar::sim {

// What a step of so many forward rows takes.
struct CostPoint {
  double rows = 0;
  double seconds = 0;
};

// What the first step after a rest takes more: the device, its caches or its clock went to sleep.
struct RestPoint {
  double rest_seconds = 0;
  double more_seconds = 0;
};

// A device with a model on it, as measured: what devices.json has of it. All times are seconds.
struct DeviceProfile {
  std::string source;  // Where the numbers come from.
  ModelConfig config;
  uint32_t slots = 0;                 // Images in flight (--max-images-in-flight).
  uint32_t max_step_rows = 0;         // --max-step-rows.
  std::vector<CostPoint> forward;     // One or more, rising in rows.
  std::vector<CostPoint> alone;       // Likewise, for a step of a single pass; none: as `forward`.
  std::vector<RestPoint> after_rest;  // Rising in rest; none: nothing.
  double picture_seconds = 0;         // What a picture decoded (final or FULL) adds to its step,
  double decoder_seconds = 0;         // and what a step pays besides that decodes any.
  double between_steps_seconds = 0;   // Host's time from a step's end to the next one's start.
  double answer_seconds = 0;          // From the end of an image's last step to its client.
  double jitter = 0;                  // Standard deviation of a step's time over its mean.
  double start_up_seconds = 0;        // From the start of the process to ready: load, probe.

  // Of a step of so many rows and passes that decodes nothing: straight lines between the points,
  // the outer ones prolonged; with a single point in proportion to nothing, always its seconds.
  // Never negative.
  double ForwardSeconds(double rows, size_t passes) const;

  // What a rest costs: straight lines from nothing over the points; beyond the last, as much as
  // there.
  double AfterRestSeconds(double rest_seconds) const;
};

using DeviceProfiles = std::map<std::string, DeviceProfile>;

// Reads devices.json. A profile's "model" is a release's name ("hmar-d16"), or the folder of a
// model beside the working directory. INVALID_ARGUMENT names the profile and what is wrong with
// it; NOT_FOUND: no such file.
absl::StatusOr<DeviceProfiles> ReadDeviceProfiles(const std::string& path);

// INVALID_ARGUMENT unless the profile is one that can be simulated.
absl::Status CheckProfile(const std::string& name, const DeviceProfile& profile);

}  // namespace hmar::sim

#endif  // HMAR_TESTS_SIM_DEVICE_PROFILE_H_
