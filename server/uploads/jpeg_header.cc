// What a JPEG says of itself before its first scan, read without libjpeg: it takes no memory, and
// tells what libjpeg will take.

#include <algorithm>
#include <array>
#include <optional>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "model/status_macros.h"
#include "server/uploads/jpeg_reader.h"

namespace hmar {
namespace {

constexpr uint8_t kStartOfImage = 0xD8, kEndOfImage = 0xD9, kStartOfScan = 0xDA;
constexpr uint8_t kApp1 = 0xE1, kTemporary = 0x01;
constexpr absl::string_view kExif("Exif\0\0", 6);
constexpr size_t kFrameBytes = 6;             // Precision, height, width, components.
constexpr size_t kCoefficientBytes = 64 * 2;  // Of a block.
constexpr int kMostComponents = 3;

absl::Status Damaged(const std::string& what) {
  return absl::InvalidArgumentError(absl::StrCat("damaged JPEG: ", what));
}

absl::Status Truncated(size_t bytes) {
  return absl::InvalidArgumentError(
      absl::StrCat("truncated JPEG: it ends after ", bytes, " bytes, before its first scan"));
}

absl::Status Unread(const std::string& kind) {
  return absl::InvalidArgumentError(
      absl::StrCat(kind, "; read are baseline and progressive JPEGs, 8 bits, grey or colour"));
}

uint8_t Byte(absl::string_view text, size_t at) { return static_cast<uint8_t>(text[at]); }

uint32_t Short(absl::string_view text, size_t at) {
  return uint32_t{Byte(text, at)} << 8 | Byte(text, at + 1);
}

// SOF0 to SOF15 but for what shares their numbers: DHT, JPG and DAC.
bool StartsFrame(uint8_t marker) {
  return marker >= 0xC0 && marker <= 0xCF && marker != 0xC4 && marker != 0xC8 && marker != 0xCC;
}

// Blocks of 8 x 8 samples along one side of a component that has `factor` of `most` samples.
size_t Blocks(uint32_t pixels, uint32_t factor, uint32_t most) {
  const size_t blocks = (size_t{pixels} * factor + size_t{8} * most - 1) / (size_t{8} * most);
  return (blocks + factor - 1) / factor * factor;
}

class Walk {
 public:
  Walk(absl::string_view jpeg, const UploadLimits& limits) : jpeg_(jpeg), limits_(limits) {}

  absl::StatusOr<JpegHeader> Run() {
    while (true) {
      HMAR_ASSIGN_OR_RETURN(const uint8_t marker, NextMarker());
      if (marker == kTemporary || (marker >= 0xD0 && marker <= kStartOfImage)) {
        return Damaged(absl::StrCat("marker 0xFF", absl::Hex(marker, absl::kZeroPad2),
                                    " before its first scan"));
      }
      if (marker == kEndOfImage) return Damaged("it has no scan");
      HMAR_ASSIGN_OR_RETURN(const absl::string_view data, Segment());
      if (marker == kStartOfScan) return Finish(data);
      HMAR_RETURN_IF_ERROR(Take(marker, data));
    }
  }

 private:
  absl::StatusOr<uint8_t> NextMarker() {
    if (at_ + 2 > jpeg_.size()) return Truncated(jpeg_.size());
    if (Byte(jpeg_, at_) != 0xFF) return Damaged(absl::StrCat("no marker at byte ", at_));
    while (at_ < jpeg_.size() && Byte(jpeg_, at_) == 0xFF) ++at_;  // Fill bytes.
    if (at_ == jpeg_.size()) return Truncated(jpeg_.size());
    return Byte(jpeg_, at_++);
  }

  absl::StatusOr<absl::string_view> Segment() {
    if (jpeg_.size() - at_ < 2) return Truncated(jpeg_.size());
    const size_t length = Short(jpeg_, at_);
    if (length < 2) return Damaged(absl::StrCat("a segment of ", length, " bytes at ", at_));
    if (jpeg_.size() - at_ < length) return Truncated(jpeg_.size());
    const absl::string_view data = jpeg_.substr(at_ + 2, length - 2);
    at_ += length;
    return data;
  }

  absl::Status Take(uint8_t marker, absl::string_view data) {
    if (marker == kApp1 && !has_exif_ && absl::StartsWith(data, kExif)) {
      has_exif_ = true;
      header_.orientation = OrientationOf(data);
    }
    if (!StartsFrame(marker)) return absl::OkStatus();
    if (header_.components != 0) return Damaged("it has two frames");
    if (marker > 0xC2) return Unread(KindOf(marker));
    progressive_ = marker == 0xC2;
    return TakeFrame(data);
  }

  static std::string KindOf(uint8_t marker) {
    if (marker == 0xC9 || marker == 0xCA) return "an arithmetic-coded JPEG";
    if (marker == 0xC3 || marker == 0xCB) return "a lossless JPEG";
    return "a hierarchical JPEG";
  }

  absl::Status TakeFrame(absl::string_view data) {
    if (data.size() < kFrameBytes) return Damaged("its frame is too short");
    const int bits = Byte(data, 0), components = Byte(data, 5);
    header_.height = Short(data, 1);
    header_.width = Short(data, 3);
    if (bits != 8) return Unread(absl::StrCat("a JPEG of ", bits, " bits"));
    if (components == 4) return Unread("a CMYK JPEG");
    if (components != 1 && components != kMostComponents) {
      return Unread(absl::StrCat("a JPEG of ", components, " components"));
    }
    HMAR_RETURN_IF_ERROR(CheckUploadSize(header_.width, header_.height, limits_));
    if (data.size() < kFrameBytes + 3 * static_cast<size_t>(components)) {
      return Damaged("its frame is too short");
    }
    header_.components = components;
    for (int i = 0; i < components; ++i) factors_[i] = Byte(data, kFrameBytes + 3 * i + 1);
    return CheckFactors();
  }

  // How many samples of a component, across and down, are beside those of the others.
  absl::Status CheckFactors() const {
    for (int i = 0; i < header_.components; ++i) {
      const int across = factors_[i] >> 4, down = factors_[i] & 15;
      if (across >= 1 && across <= 4 && down >= 1 && down <= 4) continue;
      return Damaged(absl::StrCat("sampling factors ", across, " x ", down, "; 1 to 4"));
    }
    return absl::OkStatus();
  }

  absl::StatusOr<JpegHeader> Finish(absl::string_view scan) {
    if (header_.components == 0) return Damaged("its first scan comes before its frame");
    const bool whole = !scan.empty() && Byte(scan, 0) == header_.components;
    if (progressive_ || !whole) header_.coefficient_bytes = CoefficientBytes();
    return header_;
  }

  size_t CoefficientBytes() const {
    uint32_t most_across = 1, most_down = 1;
    for (int i = 0; i < header_.components; ++i) {
      most_across = std::max<uint32_t>(most_across, factors_[i] >> 4);
      most_down = std::max<uint32_t>(most_down, factors_[i] & 15);
    }
    size_t bytes = 0;
    for (int i = 0; i < header_.components; ++i) {
      bytes += Blocks(header_.width, factors_[i] >> 4, most_across) *
               Blocks(header_.height, factors_[i] & 15, most_down) * kCoefficientBytes;
    }
    return bytes;
  }

  const absl::string_view jpeg_;
  const UploadLimits& limits_;
  size_t at_ = 2;  // Behind the start of the image.
  JpegHeader header_;
  bool has_exif_ = false;
  bool progressive_ = false;
  std::array<uint8_t, kMostComponents> factors_ =
      {};  // Across in the upper half, down in the lower.
};

}  // namespace

absl::StatusOr<JpegHeader> ReadJpegHeader(absl::string_view jpeg, const UploadLimits& limits) {
  HMAR_RETURN_IF_ERROR(CheckUploadBytes(jpeg, limits));
  if (jpeg.size() < 2 || Short(jpeg, 0) != (0xFF00 | kStartOfImage)) {
    return absl::InvalidArgumentError(
        absl::StrCat("not a JPEG: ", jpeg.size(), " bytes without a JPEG's start"));
  }
  return Walk(jpeg, limits).Run();
}

}  // namespace hmar
