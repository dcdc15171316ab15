#ifndef HMAR_SERVER_DEVICES_H_
#define HMAR_SERVER_DEVICES_H_

// What --device and --precision mean, and the limits that follow from the devices where the options
// say 0. Pure functions.

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/options.h"

namespace hmar {

struct Device {
  enum class Kind { kCpu, kCuda };
  Kind kind = Kind::kCpu;
  int ordinal = 0;   // Of a GPU, as CUDA counts them.
  std::string name;  // "cpu", "cuda:0"
};

// "cpu", or one or more different "cuda:N" with commas between. INVALID_ARGUMENT names the text.
absl::StatusOr<std::vector<Device>> ParseDevices(const std::string& text);

// What a device computes in when --precision says `precision` ("auto": fp32 on the CPU, bf16 on a
// GPU). INVALID_ARGUMENT names the flag, the value and what the device can.
absl::StatusOr<std::string> PrecisionOn(const Device& device, const std::string& precision);

// How much of a model's work a device may hold.
struct DeviceLimits {
  uint32_t max_images = 0;     // In flight; 0: as many as fit (a GPU's engine counts them).
  uint32_t max_step_rows = 0;  // Forward rows of a step; never 0.
};

// The options' limits; where they say 0, 64 images on the CPU and all that fit on a GPU, steps of
// 4,096 rows on the CPU and of 20,480 on a GPU.
DeviceLimits LimitsOf(const ServerOptions& options, const Device& device);

// Threads that encode pictures: what --encoder-threads says. Where it says 0, the `cores` that the
// engines leave: a GPU's engine keeps one busy, the CPU's --threads (0: all); but at most
// 8 a device, which a GPU's fastest model can use, and at least 1. REQUIRES: there is a device.
uint32_t EncoderThreads(const ServerOptions& options, const std::vector<Device>& devices,
                        uint32_t cores);

}  // namespace hmar

#endif  // HMAR_SERVER_DEVICES_H_
