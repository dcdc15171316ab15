#ifndef HMAR_MODEL_SAFETENSORS_HEADER_H_
#define HMAR_MODEL_SAFETENSORS_HEADER_H_

// Internal to model/: the JSON header of a safetensors file.

#include <cstdint>
#include <map>
#include <string>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "model/checkpoint.h"

namespace hmar {

struct SafetensorsEntry {
  TensorInfo info;
  uint64_t begin = 0;  // Bytes into the data part; half open.
  uint64_t end = 0;
};

// Parses a header. Every entry returned is complete, has a dtype we know and exactly as many bytes
// as its shape takes; together they cover [0, data_bytes) without gaps or overlaps. Never builds
// more than the result: a header of any nesting costs its own size at most. INVALID_ARGUMENT
// otherwise, without the file's name.
absl::StatusOr<std::map<std::string, SafetensorsEntry>> ParseSafetensorsHeader(
    absl::Span<const uint8_t> json, uint64_t data_bytes);

}  // namespace hmar

#endif  // HMAR_MODEL_SAFETENSORS_HEADER_H_
