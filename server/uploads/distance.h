#ifndef HMAR_SERVER_UPLOADS_DISTANCE_H_
#define HMAR_SERVER_UPLOADS_DISTANCE_H_

#include <cstdint>
#include <vector>

#include "server/uploads/edit_region.h"

namespace hmar {

// For each pixel of a square region the Euclidean distance, in pixels between centres, to the
// nearest pixel outside: exact; 0 outside, 1 or more inside, infinity where nothing is outside.
// Linear in the number of pixels. Pure and thread-safe. REQUIRES: side * side bytes.
std::vector<float> DistanceToOutside(const Region& region, uint32_t side);

}  // namespace hmar

#endif  // HMAR_SERVER_UPLOADS_DISTANCE_H_
