#ifndef HMAR_SERVER_UPLOADS_PICTURE_MASK_H_
#define HMAR_SERVER_UPLOADS_PICTURE_MASK_H_

#include <cstdint>
#include <vector>

namespace hmar {

// Which pixels of a picture are white.
struct PictureMask {
  uint32_t width = 0;
  uint32_t height = 0;
  std::vector<uint8_t> white;  // height * width, row by row: 1 or 0.
};

}  // namespace hmar

#endif  // HMAR_SERVER_UPLOADS_PICTURE_MASK_H_
