#ifndef HMAR_MODEL_BYTE_READER_H_
#define HMAR_MODEL_BYTE_READER_H_

// Internal to model/.

#include <cstdint>
#include <cstring>
#include <string>

#include "absl/types/span.h"

namespace hmar {

// Takes bytes off the front. Reading past the end yields zeros and is remembered.
class ByteReader {
 public:
  explicit ByteReader(absl::Span<const uint8_t> bytes) : bytes_(bytes) {}

  size_t position() const { return position_; }
  bool overrun() const { return overrun_; }

  absl::Span<const uint8_t> Take(uint64_t size) {
    if (size > bytes_.size() - position_) {
      overrun_ = true;
      return {};
    }
    position_ += size;
    return bytes_.subspan(position_ - size, size);
  }

  // Little-endian, of `size` <= 8 bytes.
  uint64_t Unsigned(size_t size) {
    uint64_t value = 0;
    const auto bytes = Take(size);
    if (!bytes.empty()) std::memcpy(&value, bytes.data(), bytes.size());
    return value;
  }

  std::string Text(uint64_t size) {
    const auto bytes = Take(size);
    return std::string(bytes.begin(), bytes.end());
  }

  std::string Line() {
    std::string line;
    for (uint8_t byte = Byte(); byte != '\n' && !overrun_; byte = Byte()) {
      line.push_back(static_cast<char>(byte));
    }
    return line;
  }

  uint8_t Byte() { return static_cast<uint8_t>(Unsigned(1)); }

 private:
  absl::Span<const uint8_t> bytes_;
  size_t position_ = 0;
  bool overrun_ = false;
};

}  // namespace hmar

#endif  // HMAR_MODEL_BYTE_READER_H_
