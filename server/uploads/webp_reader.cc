#include "server/uploads/webp_reader.h"

#include <webp/decode.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "model/status_macros.h"
#include "server/uploads/webp_codes.h"

namespace hmar {
namespace {

constexpr size_t kRiffBytes = 12;       // "RIFF", a length, "WEBP".
constexpr size_t kChunkBytes = 8;       // A type and a length.
constexpr size_t kVp8lHeaderBytes = 5;  // Before its transforms.
constexpr size_t kFirstSlice = 64 << 10;

absl::Status Damaged(const std::string& what) {
  return absl::InvalidArgumentError(absl::StrCat("damaged WebP: ", what));
}

absl::Status Truncated(size_t bytes) {
  return absl::InvalidArgumentError(
      absl::StrCat("truncated WebP: it ends after ", bytes, " bytes, before its last chunk does"));
}

const uint8_t* Data(absl::string_view text) {
  return reinterpret_cast<const uint8_t*>(text.data());
}

size_t LittleEndian(absl::string_view text, size_t at) {
  size_t value = 0;
  for (size_t i = 4; i > 0; --i) value = value << 8 | static_cast<uint8_t>(text[at + i - 1]);
  return value;
}

// Takes what a chunk is known by. Of libwebp's reading: alpha counts before the picture alone, the
// last of several; orientation wherever it stands.
void TakeChunk(absl::string_view type, absl::string_view data, bool* has_picture, bool* has_exif,
               WebpHeader* header) {
  if (type == "EXIF" && !*has_exif) {
    *has_exif = true;
    header->orientation = OrientationOf(data);
  }
  if (*has_picture) return;
  if (type == "ALPH") header->alpha = data;
  if (type == "VP8L") header->vp8l = data;
  *has_picture = type == "VP8 " || type == "VP8L";
}

absl::Status WalkChunks(WebpHeader* header) {
  const absl::string_view file = header->file;
  bool has_picture = false, has_exif = false;
  for (size_t at = kRiffBytes; at < file.size();) {
    if (file.size() - at < kChunkBytes) return Truncated(file.size());
    const size_t length = LittleEndian(file, at + 4);
    if (length > file.size() - at - kChunkBytes) return Truncated(file.size());
    TakeChunk(file.substr(at, 4), file.substr(at + kChunkBytes, length), &has_picture, &has_exif,
              header);
    at += kChunkBytes + length + length % 2;
  }
  return has_picture ? absl::OkStatus() : Damaged("it has no picture");
}

// A VP8L stream's and an ALPH chunk's data behind their headers; empty where there is none.
absl::string_view CodedData(const WebpHeader& header) {
  if (header.lossless) return header.vp8l.substr(std::min(header.vp8l.size(), kVp8lHeaderBytes));
  const bool coded = !header.alpha.empty() && (header.alpha[0] & 3) == 1;
  return coded ? header.alpha.substr(1) : absl::string_view();
}

// Whether all of the picture may be decoded into what the sink has.
bool GoesDirectly(const WebpHeader& header, bool sink_takes_all) {
  return sink_takes_all && !header.has_alpha && header.orientation == Orientation::kUpright;
}

// Decodes into `rgb` (or RGBA, as `mode` says), which has `stride` bytes a row.
absl::Status Decode(const WebpHeader& header, WEBP_CSP_MODE mode, size_t stride,
                    CancelCheck cancelled, uint8_t* rgb) {
  const std::unique_ptr<WebPIDecoder, decltype(&WebPIDelete)> decoder(
      WebPINewRGB(mode, rgb, stride * header.height, static_cast<int>(stride)), WebPIDelete);
  const auto no_memory = [&] {
    return absl::ResourceExhaustedError(
        absl::StrCat("no memory for ", header.width, " x ", header.height, " pixels"));
  };
  if (decoder == nullptr) return no_memory();
  const size_t bytes = header.file.size();
  VP8StatusCode status = VP8_STATUS_SUSPENDED;
  for (size_t slice = std::min(bytes, kFirstSlice); status == VP8_STATUS_SUSPENDED;) {
    if (cancelled()) return absl::CancelledError("cancelled while it was decoded");
    status = WebPIUpdate(decoder.get(), Data(header.file), slice);
    if (slice == bytes) break;
    slice = std::min(bytes, slice + slice / 4);
  }
  if (status == VP8_STATUS_OK) return absl::OkStatus();
  if (status == VP8_STATUS_OUT_OF_MEMORY) return no_memory();
  if (status == VP8_STATUS_SUSPENDED) return Damaged("it ends before its last row");
  return Damaged(absl::StrCat("libwebp gives up with code ", static_cast<int>(status)));
}

absl::Status PutRows(const WebpHeader& header, const std::vector<uint8_t>& pixels, int channels,
                     CancelCheck cancelled, RowSink* sink) {
  const size_t stride = size_t{header.width} * static_cast<size_t>(channels);
  for (uint32_t y = 0; y < header.height; ++y) {
    if (cancelled()) {
      return absl::CancelledError(
          absl::StrCat("cancelled after ", y, " of ", header.height, " rows"));
    }
    sink->Put(pixels.data() + y * stride, channels, header.width,
              PathOfRow(header.orientation, y, header.width, header.height));
  }
  return absl::OkStatus();
}

}  // namespace

bool BeginsAsWebp(absl::string_view file) {
  return file.size() >= kRiffBytes && absl::StartsWith(file, "RIFF") &&
         file.substr(kChunkBytes, 4) == "WEBP";
}

absl::StatusOr<WebpHeader> ReadWebpHeader(absl::string_view webp, const UploadLimits& limits) {
  HMAR_RETURN_IF_ERROR(CheckUploadBytes(webp, limits));
  if (!BeginsAsWebp(webp)) {
    return absl::InvalidArgumentError(
        absl::StrCat("not a WebP: ", webp.size(), " bytes without a WebP's start"));
  }
  const size_t length = LittleEndian(webp, 4);
  if (length > webp.size() - kChunkBytes) return Truncated(webp.size());
  WebpHeader header;
  header.file = webp.substr(0, kChunkBytes + length);
  WebPBitstreamFeatures features;
  const VP8StatusCode status = WebPGetFeatures(Data(header.file), header.file.size(), &features);
  if (status == VP8_STATUS_NOT_ENOUGH_DATA) return Truncated(webp.size());
  if (status != VP8_STATUS_OK) {
    return Damaged(absl::StrCat("libwebp refuses its header with code ", static_cast<int>(status)));
  }
  if (features.has_animation != 0) {
    return absl::InvalidArgumentError("an animated WebP; one picture is wanted");
  }
  header.width = static_cast<uint32_t>(features.width);
  header.height = static_cast<uint32_t>(features.height);
  header.lossless = features.format == 2;
  HMAR_RETURN_IF_ERROR(CheckUploadSize(header.width, header.height, limits));
  HMAR_RETURN_IF_ERROR(WalkChunks(&header));
  header.has_alpha = features.has_alpha != 0 || !header.alpha.empty();
  return header;
}

size_t WebpBytes(const WebpHeader& header, bool sink_takes_all, bool wants_alpha) {
  constexpr size_t kCodedBytes = 5;  // A pixel: ARGB, and the pictures of its transforms.
  const size_t pixels = size_t{header.width} * header.height;
  size_t bytes = 0;
  if (!CodedData(header).empty()) {
    bytes += kCodedBytes * pixels + WebpCodeBytes(header.width, header.height);
  }
  if (!header.lossless && header.has_alpha) bytes += pixels;  // Of alpha, in any form.
  if (GoesDirectly(header, sink_takes_all)) return bytes;
  return bytes + pixels * (wants_alpha && header.has_alpha ? 4 : 3);
}

absl::Status ReadWebpRows(const WebpHeader& header, CancelCheck cancelled, RowSink* sink) {
  if (const absl::string_view data = CodedData(header); !data.empty()) {
    if (cancelled()) return absl::CancelledError("cancelled before it was decoded");
    HMAR_RETURN_IF_ERROR(CheckWebpCodes(data, header.width, header.height));
  }
  if (GoesDirectly(header, sink->whole_rgb() != nullptr)) {
    return Decode(header, MODE_RGB, size_t{3} * header.width, cancelled, sink->whole_rgb());
  }
  const bool alpha = sink->wants_alpha() && header.has_alpha;
  const int channels = alpha ? 4 : 3;
  const size_t stride = size_t{header.width} * static_cast<size_t>(channels);
  std::vector<uint8_t> pixels(stride * header.height);
  HMAR_RETURN_IF_ERROR(
      Decode(header, alpha ? MODE_RGBA : MODE_RGB, stride, cancelled, pixels.data()));
  return PutRows(header, pixels, channels, cancelled, sink);
}

}  // namespace hmar
