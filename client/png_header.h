#ifndef HMAR_CLIENT_PNG_HEADER_H_
#define HMAR_CLIENT_PNG_HEADER_H_

// A PNG's first 24 bytes say how large it is, which is to be known before it is decoded.

#include <cstdint>
#include <optional>

#include "absl/strings/string_view.h"

namespace hmar {

struct PngSize {
  uint32_t width = 0;   // Pixels.
  uint32_t height = 0;  // Pixels.
};

// Nothing where the bytes do not start as a PNG's do: with its signature and its header chunk. The
// rest, the header's checksum too, is for a decoder to judge. Constant time; thread-safe.
std::optional<PngSize> ReadPngSize(absl::string_view png);

}  // namespace hmar

#endif  // HMAR_CLIENT_PNG_HEADER_H_
