#ifndef HMAR_TESTS_CLIENT_CRAFTED_PNG_H_
#define HMAR_TESTS_CLIENT_CRAFTED_PNG_H_

// PNGs that no encoder writes.

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"

namespace hmar {

// Length, type, data, checksum. `type` has four letters.
std::string PngChunk(absl::string_view type, absl::string_view data);

// Signature and header of a picture of 8-bit RGB.
std::string PngStart(uint32_t width, uint32_t height);

std::string PngEnd();

// The pixels' zlib stream with `megabytes` of zeros behind the last row, in about a thousandth of
// them. All pixels are black. It ends without zlib's checksum.
std::string PixelsAndZeros(uint32_t width, uint32_t height, uint32_t megabytes);

// A zlib stream that inflates to so many zeros.
std::string DeflatedZeros(size_t bytes);

}  // namespace hmar

#endif  // HMAR_TESTS_CLIENT_CRAFTED_PNG_H_
