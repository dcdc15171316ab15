#ifndef HMAR_SERVER_UPLOADS_WEBP_READER_H_
#define HMAR_SERVER_UPLOADS_WEBP_READER_H_

// Uploaded WebPs to rows of pixels; for picture_reader.h, which says what all readers have in
// common. Of what is beside the pixels only the orientation is looked at.

#include <cstddef>
#include <cstdint>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "server/uploads/cancel_check.h"
#include "server/uploads/exif.h"
#include "server/uploads/row_sink.h"
#include "server/uploads/upload_limits.h"

namespace hmar {

// What a WebP's chunks say.
struct WebpHeader {
  uint32_t width = 0;   // Pixels as stored, 1 .. 16,383.
  uint32_t height = 0;  // Likewise.
  bool lossless = false;
  bool has_alpha = false;
  Orientation orientation = Orientation::kUpright;
  absl::string_view file;   // The file, without what follows it.
  absl::string_view vp8l;   // Of a lossless one: its data.
  absl::string_view alpha;  // Of a lossy one with alpha: the data of its ALPH chunk.
};

// Whether it has a WebP's first twelve bytes.
bool BeginsAsWebp(absl::string_view file);

// Walks the chunks. INVALID_ARGUMENT, too: it is animated, or not whole. Linear in the number of
// chunks; no allocation. `file`, `vp8l` and `alpha` point into `webp`.
absl::StatusOr<WebpHeader> ReadWebpHeader(absl::string_view webp, const UploadLimits& limits);

// What ReadWebpRows needs, in bytes: of a lossless picture, or a lossless alpha, all pixels are
// held in libwebp's own form, and tables for the prefix codes; and where rows cannot go to the sink
// directly, all of them beside it. 0 for an upright lossy picture without alpha whose sink takes
// all (RowSink::whole_rgb).
size_t WebpBytes(const WebpHeader& header, bool sink_takes_all, bool wants_alpha);

// All rows, as stored from top to bottom: RGB or RGBA. Samples are taken as they are, without any
// colour profile. Needs WebpBytes() of memory. libwebp decodes as far as it has data, and says
// nothing on the way: so it gets a quarter more each time, from 64 KiB on, and `cancelled` is asked
// between; then before each row that goes to the sink. REQUIRES: `header` is ReadWebpHeader's, and
// `sink` has the upright size.
absl::Status ReadWebpRows(const WebpHeader& header, CancelCheck cancelled, RowSink* sink);

}  // namespace hmar

#endif  // HMAR_SERVER_UPLOADS_WEBP_READER_H_
