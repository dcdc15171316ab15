#include "server/devices.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"

namespace hmar {
namespace {

constexpr char kCuda[] = "cuda:";

// "cuda:N", N as CUDA would print it: no sign, no space, no leading zero.
bool ParseCuda(const std::string& text, Device* device) {
  if (text.rfind(kCuda, 0) != 0) return false;
  const std::string digits = text.substr(sizeof(kCuda) - 1);
  device->kind = Device::Kind::kCuda;
  device->name = text;
  return !digits.empty() && digits.size() <= 4 &&
         std::all_of(digits.begin(), digits.end(), [](char c) { return absl::ascii_isdigit(c); }) &&
         (digits.size() == 1 || digits[0] != '0') && absl::SimpleAtoi(digits, &device->ordinal);
}

std::vector<std::string> PrecisionsOf(const Device& device) {
  if (device.kind == Device::Kind::kCpu) return {"fp32"};
  return {"bf16", "fp8"};
}

}  // namespace

absl::StatusOr<std::vector<Device>> ParseDevices(const std::string& text) {
  if (text == "cpu") return std::vector<Device>{{Device::Kind::kCpu, 0, "cpu"}};
  std::vector<Device> devices;
  for (const std::string& part : std::vector<std::string>(absl::StrSplit(text, ','))) {
    Device device;
    if (!ParseCuda(part, &device)) {
      return absl::InvalidArgumentError(
          absl::StrCat("'", text, "' is neither cpu nor cuda:N[,cuda:M...]"));
    }
    for (const Device& other : devices) {
      if (other.name == part) {
        return absl::InvalidArgumentError(absl::StrCat("'", text, "' names ", part, " twice"));
      }
    }
    devices.push_back(std::move(device));
  }
  return devices;
}

absl::StatusOr<std::string> PrecisionOn(const Device& device, const std::string& precision) {
  const std::vector<std::string> able = PrecisionsOf(device);
  if (precision == "auto") return able.front();
  if (std::find(able.begin(), able.end(), precision) != able.end()) return precision;
  return absl::InvalidArgumentError(absl::StrCat("--precision ", precision, ": ", device.name,
                                                 " computes in ", absl::StrJoin(able, " or ")));
}

DeviceLimits LimitsOf(const ServerOptions& options, const Device& device) {
  const bool cpu = device.kind == Device::Kind::kCpu;
  DeviceLimits limits{options.max_images_in_flight, options.max_step_rows};
  if (limits.max_images == 0 && cpu) limits.max_images = 64;
  if (limits.max_step_rows == 0) limits.max_step_rows = cpu ? 1024 : 20480;
  return limits;
}

uint32_t EncoderThreads(const ServerOptions& options, const std::vector<Device>& devices,
                        uint32_t cores) {
  constexpr uint32_t kMostPerDevice = 8;
  if (options.encoder_threads != 0) return options.encoder_threads;
  const auto count = static_cast<uint32_t>(devices.size());
  const bool cpu = devices.front().kind == Device::Kind::kCpu;
  const uint32_t engines = cpu ? (options.threads == 0 ? cores : options.threads) : count;
  const uint32_t left = cores > engines ? cores - engines : 0;
  return std::clamp(left, 1u, kMostPerDevice * count);
}

}  // namespace hmar
