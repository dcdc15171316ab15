#include "server/uploads/webp_codes.h"

#include <algorithm>
#include <array>
#include <string>

#include "absl/strings/str_cat.h"

namespace hmar {
namespace {

constexpr size_t kTableBytes = 5004 * 4 + 640;  // libwebp's largest table of a group, and its row.
constexpr int kMaxCodeBits = 15;
constexpr uint32_t kLiterals = 256, kLengths = 24, kDistances = 40;
constexpr uint32_t kMaxSymbols = kLiterals + kLengths + (1 << 11);

uint32_t CeilShift(uint32_t value, uint32_t shift) {
  return static_cast<uint32_t>((uint64_t{value} + (1u << shift) - 1) >> shift);
}

// Bits from the lowest of each byte on; zeros beyond the end.
class Bits {
 public:
  explicit Bits(absl::string_view data) : data_(data) {}

  uint32_t Next() {
    const size_t byte = at_ >> 3;
    if (byte >= data_.size()) {
      past_end_ = true;
      return 0;
    }
    return static_cast<uint8_t>(data_[byte]) >> (at_++ & 7) & 1;
  }

  uint32_t Number(uint32_t bits) {
    uint32_t value = 0;
    for (uint32_t i = 0; i < bits; ++i) value |= Next() << i;
    return value;
  }

  bool past_end() const { return past_end_; }

 private:
  const absl::string_view data_;
  size_t at_ = 0;
  bool past_end_ = false;
};

// A canonical prefix code, decoded bit by bit.
class PrefixCode {
 public:
  // False: the lengths are of no complete code.
  bool Build(const uint8_t* lengths, uint32_t symbols) {
    counts_.fill(0);
    for (uint32_t i = 0; i < symbols; ++i) ++counts_[lengths[i]];
    used_ = symbols - counts_[0];
    std::array<uint32_t, kMaxCodeBits + 2> first = {};
    int64_t open = 1;
    for (int bits = 1; bits <= kMaxCodeBits; ++bits) {
      open = 2 * open - counts_[bits];
      if (open < 0) return false;
      first[bits + 1] = first[bits] + counts_[bits];
    }
    for (uint32_t i = 0; i < symbols; ++i) {
      if (lengths[i] != 0) symbols_[first[lengths[i]]++] = static_cast<uint16_t>(i);
    }
    return used_ == 1 || (used_ > 1 && open == 0);
  }

  // A code of one symbol takes no bits.
  uint32_t Read(Bits* bits) const {
    if (used_ == 1) return symbols_[0];
    uint32_t code = 0, first = 0, index = 0;
    for (int length = 1; length <= kMaxCodeBits; ++length) {
      code |= bits->Next();
      if (code - first < counts_[length]) return symbols_[index + (code - first)];
      index += counts_[length];
      first = (first + counts_[length]) << 1;
      code <<= 1;
    }
    return symbols_[0];  // Not reached in a complete code.
  }

 private:
  std::array<uint32_t, kMaxCodeBits + 1> counts_ = {};
  std::array<uint16_t, kMaxSymbols> symbols_ = {};
  uint32_t used_ = 0;
};

// Reads VP8L data from its start to where the number of groups is known. Every Read and Skip is
// false on damage.
class Walk {
 public:
  explicit Walk(absl::string_view data) : bits_(data) {}

  // Sets `groups` of a picture of width x height pixels.
  bool CountGroups(uint32_t width, uint32_t height, uint32_t* groups) {
    while (bits_.Next() == 1) {
      if (!SkipTransform(&width, height)) return false;
    }
    uint32_t cache_bits = 0;
    if (!ReadCacheBits(&cache_bits)) return false;
    *groups = 1;
    if (bits_.Next() == 0) return !bits_.past_end();
    const uint32_t tile = bits_.Number(3) + 2;
    if (!ReadImage(CeilShift(width, tile), CeilShift(height, tile))) return false;
    *groups = most_ + 1;
    return true;
  }

 private:
  enum Transform { kPredictor = 0, kColor = 1, kSubtractGreen = 2, kPalette = 3 };

  bool SkipTransform(uint32_t* width, uint32_t height) {
    const uint32_t type = bits_.Number(2);
    if ((seen_ >> type & 1) != 0 || bits_.past_end()) return false;
    seen_ |= 1u << type;
    if (type == kSubtractGreen) return true;
    if (type == kPalette) {
      const uint32_t colors = bits_.Number(8) + 1;
      if (!ReadImage(colors, 1)) return false;
      *width = CeilShift(*width, colors > 16 ? 0 : colors > 4 ? 1 : colors > 2 ? 2 : 3);
      return true;
    }
    const uint32_t tile = bits_.Number(3) + 2;
    return ReadImage(CeilShift(*width, tile), CeilShift(height, tile));
  }

  bool ReadCacheBits(uint32_t* cache_bits) {
    *cache_bits = 0;
    if (bits_.Next() == 0) return true;
    *cache_bits = bits_.Number(4);
    return *cache_bits >= 1 && *cache_bits <= 11;
  }

  // A picture of one group, and the largest of its 16-bit values from red and green: copies and the
  // colour cache only repeat what stood there before, or 0.
  bool ReadImage(uint32_t width, uint32_t height) {
    uint32_t cache_bits = 0;
    if (!ReadCacheBits(&cache_bits)) return false;
    const uint32_t cached = cache_bits == 0 ? 0 : 1u << cache_bits;
    if (!ReadCode(kLiterals + kLengths + cached, &green_) || !ReadCode(kLiterals, &red_) ||
        !ReadCode(kLiterals, &blue_) || !ReadCode(kLiterals, &alpha_) ||
        !ReadCode(kDistances, &distance_)) {
      return false;
    }
    most_ = 0;
    for (uint64_t left = uint64_t{width} * height; left > 0;) {
      const uint64_t pixels = ReadPixels();
      if (bits_.past_end() || pixels > left) return false;
      left -= pixels;
    }
    return true;
  }

  // One symbol of green and what follows from it; how many pixels that was.
  uint64_t ReadPixels() {
    const uint32_t green = green_.Read(&bits_);
    if (green < kLiterals) {
      most_ = std::max(most_, red_.Read(&bits_) << 8 | green);
      blue_.Read(&bits_);
      alpha_.Read(&bits_);
      return 1;
    }
    if (green >= kLiterals + kLengths) return 1;
    const uint64_t length = ReadExtra(green - kLiterals);
    ReadExtra(distance_.Read(&bits_));
    return length;
  }

  // A length's or distance's value, of which the symbol is the upper part.
  uint64_t ReadExtra(uint32_t symbol) {
    if (symbol < 4) return symbol + 1;
    const uint32_t extra = (symbol - 2) >> 1;
    return ((2 + uint64_t{symbol & 1}) << extra) + bits_.Number(extra) + 1;
  }

  bool ReadCode(uint32_t symbols, PrefixCode* code) {
    lengths_.fill(0);
    const bool simple = bits_.Next() == 1;
    if (simple) {
      const uint32_t more = bits_.Next();
      lengths_[bits_.Number(bits_.Next() == 1 ? 8 : 1)] = 1;
      if (more == 1) lengths_[bits_.Number(8)] = 1;
    } else if (!ReadLengths(symbols)) {
      return false;
    }
    return !bits_.past_end() && code->Build(lengths_.data(), symbols);
  }

  bool ReadLengths(uint32_t symbols) {
    static constexpr uint8_t kOrder[] = {17, 18, 0, 1,  2,  3,  4,  5,  16, 6,
                                         7,  8,  9, 10, 11, 12, 13, 14, 15};
    std::array<uint8_t, std::size(kOrder)> own = {};
    const uint32_t codes = bits_.Number(4) + 4;
    for (uint32_t i = 0; i < codes; ++i) {
      if (i >= own.size()) return false;
      own[kOrder[i]] = static_cast<uint8_t>(bits_.Number(3));
    }
    if (!length_code_.Build(own.data(), own.size())) return false;
    uint32_t left = symbols;
    if (bits_.Next() == 1) left = 2 + bits_.Number(2 + 2 * bits_.Number(3));
    return left <= symbols && ReadLengthsBySymbol(symbols, left);
  }

  bool ReadLengthsBySymbol(uint32_t symbols, uint32_t left) {
    uint8_t last = 8;
    for (uint32_t i = 0; i < symbols && left > 0 && !bits_.past_end(); --left) {
      const auto length = static_cast<uint8_t>(length_code_.Read(&bits_));
      if (length < 16) {
        lengths_[i++] = length;
        if (length != 0) last = length;
        continue;
      }
      const uint32_t repeat = length == 16   ? 3 + bits_.Number(2)
                              : length == 17 ? 3 + bits_.Number(3)
                                             : 11 + bits_.Number(7);
      if (repeat > symbols - i) return false;
      std::fill_n(lengths_.begin() + i, repeat, length == 16 ? last : 0);
      i += repeat;
    }
    return true;
  }

  Bits bits_;
  uint32_t seen_ = 0;  // Transforms, a bit each.
  uint32_t most_ = 0;  // Of the last picture.
  std::array<uint8_t, kMaxSymbols> lengths_ = {};
  PrefixCode green_, red_, blue_, alpha_, distance_, length_code_;
};

}  // namespace

size_t WebpCodeBytes(uint32_t width, uint32_t height) {
  const uint64_t tiles = uint64_t{CeilShift(width, 2)} * CeilShift(height, 2);
  return static_cast<size_t>(std::min<uint64_t>(tiles, kMaxWebpCodeGroups)) * kTableBytes;
}

absl::Status CheckWebpCodes(absl::string_view data, uint32_t width, uint32_t height) {
  Walk walk(data);
  uint32_t groups = 0;
  if (!walk.CountGroups(width, height, &groups)) {
    return absl::InvalidArgumentError("damaged WebP: its prefix codes are none");
  }
  if (groups > kMaxWebpCodeGroups) {
    return absl::InvalidArgumentError(absl::StrCat(
        "a lossless WebP of ", groups, " groups of prefix codes; at most ", kMaxWebpCodeGroups));
  }
  return absl::OkStatus();
}

}  // namespace hmar
