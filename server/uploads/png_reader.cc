#include "server/uploads/png_reader.h"

#include <png.h>
#include <zlib.h>

#include <algorithm>
#include <csetjmp>
#include <cstdio>
#include <cstring>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "model/status_macros.h"

namespace hmar {
namespace {

constexpr size_t kSignatureBytes = 8;
constexpr size_t kHeaderBytes = kSignatureBytes + 4 + 4 + 13 + 4;  // Length, type, IHDR, checksum.
constexpr char kHeaderStart[] = "\0\0\0\rIHDR";                    // Length and type.

const uint8_t* Bytes(absl::string_view text) {
  return reinterpret_cast<const uint8_t*>(text.data());
}

absl::Status Damaged(const std::string& what) {
  return absl::InvalidArgumentError(absl::StrCat("damaged PNG: ", what));
}

absl::Status CheckContainer(absl::string_view png, const UploadLimits& limits) {
  HMAR_RETURN_IF_ERROR(CheckUploadBytes(png, limits));
  const size_t signature_bytes = std::min(png.size(), kSignatureBytes);
  if (png.empty() || png_sig_cmp(Bytes(png), 0, signature_bytes) != 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("not a PNG: ", png.size(), " bytes without a PNG's signature"));
  }
  if (png.size() < kHeaderBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("truncated PNG: ", png.size(), " bytes; the header takes ", kHeaderBytes));
  }
  const uint8_t* chunk = Bytes(png) + kSignatureBytes;
  if (std::memcmp(chunk, kHeaderStart, 8) != 0) return Damaged("its first chunk is not IHDR");
  if (crc32(0, chunk + 4, 17) != png_get_uint_32(chunk + 21)) return Damaged("IHDR: CRC error");
  return absl::OkStatus();
}

// Bit depths of a colour type, one bit each: 1, 2, 4, 8, 16 are their own bits.
int DepthsOf(int color_type) {
  switch (color_type) {
    case PNG_COLOR_TYPE_GRAY:
      return 1 | 2 | 4 | 8 | 16;
    case PNG_COLOR_TYPE_PALETTE:
      return 1 | 2 | 4 | 8;
    case PNG_COLOR_TYPE_RGB:
    case PNG_COLOR_TYPE_GRAY_ALPHA:
    case PNG_COLOR_TYPE_RGB_ALPHA:
      return 8 | 16;
    default:
      return 0;
  }
}

absl::Status CheckKind(const PngHeader& header, const uint8_t* methods) {
  const bool one_bit = (header.bit_depth & (header.bit_depth - 1)) == 0;
  if (!one_bit || (header.bit_depth & DepthsOf(header.color_type)) == 0) {
    return Damaged(absl::StrCat("IHDR: no ", header.bit_depth, " bit pictures of colour type ",
                                header.color_type));
  }
  if (methods[0] != 0 || methods[1] != 0 || methods[2] > 1) {
    return Damaged(absl::StrCat("IHDR: unknown compression ", int{methods[0]}, ", filter ",
                                int{methods[1]}, " or interlace method ", int{methods[2]}));
  }
  return absl::OkStatus();
}

// The rows that libpng delivers of a picture: all passes of an interlaced one.
uint64_t RowsOf(const PngHeader& header) {
  if (!header.interlaced) return header.height;
  uint64_t rows = 0;
  for (int pass = 0; pass < PNG_INTERLACE_ADAM7_PASSES; ++pass) {
    if (PNG_PASS_COLS(header.width, pass) > 0) rows += PNG_PASS_ROWS(header.height, pass);
  }
  return rows;
}

// The pixels of a row that libpng delivers, and where they belong.
struct RowPlace {
  uint32_t count;
  RowPath path;
};

// libpng could put the passes of an interlaced picture together, but only with alpha and all in
// memory; taken pass by pass, pixels go where they belong as RGB.
RowPlace PlaceOf(const PngHeader& header, uint32_t row, int pass) {
  const auto width = static_cast<ptrdiff_t>(header.width);
  if (!header.interlaced) return {header.width, {row * width, 1}};
  const auto y = static_cast<ptrdiff_t>(PNG_ROW_FROM_PASS_ROW(row, pass));
  return {static_cast<uint32_t>(PNG_PASS_COLS(header.width, pass)),
          {y * width + PNG_PASS_START_COL(pass), ptrdiff_t{1} << PNG_PASS_COL_SHIFT(pass)}};
}

// What libpng's callbacks work on. libpng reports errors by longjmp, which runs no destructors: so
// this, and every other object that has one, lives outside the frame of Decode.
struct Reading {
  const PngHeader& header;
  RowSink* const sink;
  const CancelCheck cancelled;
  int channels = 0;
  uint64_t rows = 0;  // Taken so far.
  bool at_end = false;
  bool was_cancelled = false;
  char error[128] = "";
};

[[noreturn]] void OnError(png_structp png, png_const_charp message) {
  auto* reading = static_cast<Reading*>(png_get_error_ptr(png));
  std::snprintf(reading->error, sizeof(reading->error), "%s", message);
  png_longjmp(png, 1);
}

void OnWarning(png_structp, png_const_charp) {}

void OnInfo(png_structp png, png_infop info) {
  auto* reading = static_cast<Reading*>(png_get_progressive_ptr(png));
  png_set_expand(png);
  png_set_scale_16(png);
  if (!reading->sink->wants_alpha()) png_set_strip_alpha(png);
  png_read_update_info(png, info);
  reading->channels = png_get_channels(png, info);
}

void OnRow(png_structp png, png_bytep row, png_uint_32 number, int pass) {
  auto* reading = static_cast<Reading*>(png_get_progressive_ptr(png));
  reading->was_cancelled = reading->cancelled();
  if (reading->was_cancelled) png_error(png, "cancelled");
  const RowPlace place = PlaceOf(reading->header, number, pass);
  reading->sink->Put(row, reading->channels, place.count, place.path);
  ++reading->rows;
}

void OnEnd(png_structp png, png_infop) {
  static_cast<Reading*>(png_get_progressive_ptr(png))->at_end = true;
}

// All that may jump. Its locals are plain, and none changes after setjmp. Of libpng's two readers
// this is the progressive one: it inflates row by row and stops at the first byte behind the last
// row, where the other would inflate all that follows, however much that is.
bool Decode(png_structp png, png_infop info, Reading* reading, absl::string_view bytes) {
  if (setjmp(png_jmpbuf(png)) != 0) return false;
  png_set_user_limits(png, reading->header.width, reading->header.height);
  png_set_keep_unknown_chunks(png, PNG_HANDLE_CHUNK_NEVER, nullptr, -1);  // Known ones too.
  png_set_progressive_read_fn(png, reading, OnInfo, OnRow, OnEnd);
  png_process_data(png, info, const_cast<png_bytep>(Bytes(bytes)), bytes.size());  // Only reads.
  return true;
}

absl::Status Outcome(const Reading& reading, bool decoded, size_t bytes) {
  if (reading.was_cancelled) {
    return absl::CancelledError(
        absl::StrCat("cancelled after ", reading.rows, " of ", RowsOf(reading.header), " rows"));
  }
  if (!decoded) return Damaged(reading.error);
  if (!reading.at_end) {
    return absl::InvalidArgumentError(
        absl::StrCat("truncated PNG: it ends after ", bytes, " bytes, before IEND"));
  }
  if (reading.rows < RowsOf(reading.header)) {
    return Damaged(
        absl::StrCat("it ends after ", reading.rows, " of ", RowsOf(reading.header), " rows"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<PngHeader> ReadPngHeader(absl::string_view png, const UploadLimits& limits) {
  HMAR_RETURN_IF_ERROR(CheckContainer(png, limits));
  const uint8_t* data = Bytes(png) + kSignatureBytes + 8;
  const PngHeader header{png_get_uint_32(data), png_get_uint_32(data + 4), data[8], data[9],
                         data[12] == PNG_INTERLACE_ADAM7};
  HMAR_RETURN_IF_ERROR(CheckUploadSize(header.width, header.height, limits));
  HMAR_RETURN_IF_ERROR(CheckKind(header, data + 10));
  return header;
}

absl::Status ReadPngRows(absl::string_view png, const PngHeader& header, CancelCheck cancelled,
                         RowSink* sink) {
  Reading reading{header, sink, cancelled};
  png_structp reader = png_create_read_struct(PNG_LIBPNG_VER_STRING, &reading, OnError, OnWarning);
  if (reader == nullptr) return absl::ResourceExhaustedError("libpng could not start");
  png_infop info = png_create_info_struct(reader);
  const bool decoded = info != nullptr && Decode(reader, info, &reading, png);
  png_destroy_read_struct(&reader, &info, nullptr);
  return Outcome(reading, decoded, png.size());
}

}  // namespace hmar
