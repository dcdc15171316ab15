#ifndef HMAR_CLIENT_TERMINAL_DEVICE_ATTRIBUTES_H_
#define HMAR_CLIENT_TERMINAL_DEVICE_ATTRIBUTES_H_

// What a terminal answers to DA1, "what are you?". Pure.

#include <string>

#include "absl/strings/string_view.h"

namespace hmar {

inline constexpr char kAskDeviceAttributes[] = "\x1b[c";

// Takes the answer, ESC [ ? number ; number ... c, out of what came from a terminal byte by byte,
// and leaves what somebody typed meanwhile. Holds no more than it is given.
class DeviceAttributesReader {
 public:
  // True once the answer is whole; later bytes are all typed.
  bool Take(absl::string_view bytes);

  bool sixel() const { return sixel_; }                    // The answer has the number 4.
  std::string typed() const { return typed_ + pending_; }  // All that is no part of the answer.

 private:
  void TakeByte(char c);

  std::string pending_;  // The start of an answer, perhaps.
  std::string typed_;
  bool whole_ = false;
  bool sixel_ = false;
};

}  // namespace hmar

#endif  // HMAR_CLIENT_TERMINAL_DEVICE_ATTRIBUTES_H_
