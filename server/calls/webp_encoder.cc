#include "server/calls/webp_encoder.h"

#include <webp/encode.h>
#include <webp/mux.h>

#include <algorithm>
#include <memory>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "model/status_macros.h"
#include "server/calls/receipt_xmp.h"
#include "server/wire/request.h"

namespace hmar {
namespace {

// What measuring left (tests/bench/format_bench, the pictures of RESULTS.md). Of the lossy methods,
// 0 (fast) to 6 (small), at quality 85: 2 takes 2.7 ms for 5.7 KB; 0 1.2 ms for 5.5 KB, but more at
// other qualities; 4, libwebp's default, 20 ms for 5.6 KB. Of the levels of lossless effort, 0 to
// 9: 0 takes 1.7 ms for 121 KB, 1 16 ms for 104 KB.
constexpr int kLossyMethod = 2;
constexpr int kQualityStep = 5;               // Down, where a lossy picture takes too much.
constexpr int kLosslessLevels[] = {0, 1, 6};  // The next where noise takes more than it may.

// What libwebp fills, freed at the end.
struct Encoding {
  Encoding() { WebPMemoryWriterInit(&writer); }
  ~Encoding() {
    WebPPictureFree(&picture);
    WebPMemoryWriterClear(&writer);
  }
  Encoding(const Encoding&) = delete;
  Encoding& operator=(const Encoding&) = delete;

  WebPPicture picture = {};
  WebPMemoryWriter writer;
};

// Of a lossy picture by its quality, of a lossless one by its level.
bool Configure(bool lossless, int quality_or_level, WebPConfig* config) {
  if (WebPConfigInit(config) == 0) return false;
  if (lossless) {
    if (WebPConfigLosslessPreset(config, quality_or_level) == 0) return false;
  } else {
    config->quality = static_cast<float>(quality_or_level);
    config->method = kLossyMethod;
  }
  config->thread_level = 0;
  return WebPValidateConfig(config) != 0;
}

absl::StatusOr<std::string> EncodeAt(const Picture& picture, bool lossless, int quality_or_level) {
  Encoding encoding;
  WebPConfig config;
  if (WebPPictureInit(&encoding.picture) == 0 || !Configure(lossless, quality_or_level, &config)) {
    return absl::InternalError("WebP: libwebp could not start");
  }
  WebPPicture& webp = encoding.picture;
  webp.width = static_cast<int>(picture.width);
  webp.height = static_cast<int>(picture.height);
  webp.use_argb = lossless ? 1 : 0;
  webp.writer = WebPMemoryWrite;
  webp.custom_ptr = &encoding.writer;
  const bool encoded =
      picture.width > 0 && picture.height > 0 && picture.width <= WEBP_MAX_DIMENSION &&
      picture.height <= WEBP_MAX_DIMENSION &&
      WebPPictureImportRGB(&webp, picture.rgb.data(), static_cast<int>(picture.width) * 3) != 0 &&
      WebPEncode(&config, &webp) != 0;
  if (!encoded) {
    return absl::InternalError(absl::StrCat(
        "WebP of ", picture.width, " x ", picture.height, " pixels (at most ", WEBP_MAX_DIMENSION,
        " a side): libwebp's error ", static_cast<int>(webp.error_code)));
  }
  return std::string(reinterpret_cast<const char*>(encoding.writer.mem), encoding.writer.size);
}

// What keeps to MaxPictureBytes: noise may not at once.
absl::StatusOr<std::string> EncodeWithinBound(const Picture& picture, bool lossless, int quality) {
  const size_t limit = MaxPictureBytes(picture.width, picture.height);
  absl::StatusOr<std::string> webp;
  if (lossless) {
    for (const int level : kLosslessLevels) {
      webp = EncodeAt(picture, lossless, level);
      if (!webp.ok() || webp->size() <= limit) break;
    }
    return webp;
  }
  for (;; quality = std::max(1, quality - kQualityStep)) {
    webp = EncodeAt(picture, lossless, quality);
    if (!webp.ok() || webp->size() <= limit || quality == 1) return webp;
  }
}

// The file, with an XMP chunk.
absl::StatusOr<std::string> WithXmp(const std::string& webp, const std::string& xmp) {
  const auto data_of = [](const std::string& text) {
    return WebPData{reinterpret_cast<const uint8_t*>(text.data()), text.size()};
  };
  const WebPData file = data_of(webp), chunk = data_of(xmp);
  const std::unique_ptr<WebPMux, decltype(&WebPMuxDelete)> mux(WebPMuxCreate(&file, 0),
                                                               WebPMuxDelete);
  WebPData assembled = {};
  const bool written = mux != nullptr &&
                       WebPMuxSetChunk(mux.get(), "XMP ", &chunk, 0) == WEBP_MUX_OK &&
                       WebPMuxAssemble(mux.get(), &assembled) == WEBP_MUX_OK;
  const std::unique_ptr<WebPData, decltype(&WebPDataClear)> freed(&assembled, WebPDataClear);
  if (!written) return absl::InternalError("WebP: libwebpmux could not add the receipt");
  return std::string(reinterpret_cast<const char*>(assembled.bytes), assembled.size);
}

}  // namespace

absl::StatusOr<std::string> EncodeWebp(const Picture& picture, bool lossless, int quality,
                                       const std::string& receipt_json) {
  HMAR_ASSIGN_OR_RETURN(std::string webp, EncodeWithinBound(picture, lossless, quality));
  if (const size_t limit = MaxPictureBytes(picture.width, picture.height); webp.size() > limit) {
    return absl::InternalError(absl::StrCat("WebP: ", webp.size(), " bytes; at most ", limit));
  }
  if (receipt_json.empty()) return webp;
  return WithXmp(webp, ReceiptXmp(receipt_json));
}

}  // namespace hmar
