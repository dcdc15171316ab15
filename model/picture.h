#ifndef HMAR_MODEL_PICTURE_H_
#define HMAR_MODEL_PICTURE_H_

#include <cstdint>
#include <vector>

namespace hmar {

// An RGB picture, 8 bits a channel. Plain data.
struct Picture {
  uint32_t width = 0;        // Pixels.
  uint32_t height = 0;       // Pixels.
  std::vector<uint8_t> rgb;  // height * width * 3 bytes, row by row, without padding.
};

}  // namespace hmar

#endif  // HMAR_MODEL_PICTURE_H_
