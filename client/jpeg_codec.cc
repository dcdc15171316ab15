#include "client/jpeg_codec.h"

#include <cstdio>
// jpeglib.h needs FILE.
#include <jerror.h>
#include <jpeglib.h>

#include <csetjmp>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "client/orientation.h"
#include "client/picture_header.h"

namespace hmar {
namespace {

constexpr int kMaxScans = 100;
constexpr unsigned kWholeSegment = 0xFFFF;

// What libjpeg's callbacks work on. They report errors by longjmp, which runs no destructors: so
// this lives outside the frame that may jump.
struct Decoding {
  Picture* picture = nullptr;
  int orientation = 1;
  char error[JMSG_LENGTH_MAX] = "";
  jpeg_error_mgr errors = {};
  jpeg_progress_mgr progress = {};
  std::jmp_buf leave = {};
};

[[noreturn]] void OnError(j_common_ptr jpeg) {
  auto* decoding = static_cast<Decoding*>(jpeg->client_data);
  jpeg->err->format_message(jpeg, decoding->error);
  std::longjmp(decoding->leave, 1);
}

// A warning stands for pixels that are not there, but for what is between segments.
void OnMessage(j_common_ptr jpeg, int level) {
  if (level < 0 && jpeg->err->msg_code != JWRN_EXTRANEOUS_DATA) OnError(jpeg);
}

void OnProgress(j_common_ptr jpeg) {
  auto* decoding = static_cast<Decoding*>(jpeg->client_data);
  if (reinterpret_cast<j_decompress_ptr>(jpeg)->input_scan_number <= kMaxScans) return;
  std::snprintf(decoding->error, sizeof(decoding->error), "more than %d scans", kMaxScans);
  std::longjmp(decoding->leave, 1);
}

int OrientationIn(const jpeg_decompress_struct& jpeg) {
  for (const jpeg_marker_struct* marker = jpeg.marker_list; marker; marker = marker->next) {
    const absl::string_view data(reinterpret_cast<const char*>(marker->data), marker->data_length);
    if (absl::StartsWith(data, absl::string_view("Exif\0\0", 6))) return ReadOrientation(data);
  }
  return 1;
}

void TakeRows(jpeg_decompress_struct* jpeg, Decoding* decoding) {
  const Picture& picture = *decoding->picture;
  if (jpeg->output_width != picture.width || jpeg->output_height != picture.height) {
    std::snprintf(decoding->error, sizeof(decoding->error), "another size than its header's");
    std::longjmp(decoding->leave, 1);
  }
  while (jpeg->output_scanline < jpeg->output_height) {
    JSAMPLE* row =
        decoding->picture->rgb.data() + size_t{3} * picture.width * jpeg->output_scanline;
    jpeg_read_scanlines(jpeg, &row, 1);
  }
}

// All that may jump. Its locals are plain, and none changes after setjmp.
bool Decode(absl::string_view bytes, jpeg_decompress_struct* jpeg, Decoding* decoding) {
  if (setjmp(decoding->leave) != 0) return false;
  jpeg->err = jpeg_std_error(&decoding->errors);
  decoding->errors.error_exit = OnError;
  decoding->errors.emit_message = OnMessage;
  jpeg->client_data = decoding;
  jpeg_create_decompress(jpeg);
  decoding->progress.progress_monitor = OnProgress;
  jpeg->progress = &decoding->progress;
  jpeg_mem_src(jpeg, reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size());
  jpeg_save_markers(jpeg, JPEG_APP0 + 1, kWholeSegment);
  jpeg_read_header(jpeg, TRUE);
  decoding->orientation = OrientationIn(*jpeg);
  jpeg->out_color_space = JCS_RGB;  // An error of CMYK.
  jpeg_start_decompress(jpeg);
  TakeRows(jpeg, decoding);
  jpeg_finish_decompress(jpeg);
  return true;
}

}  // namespace

absl::StatusOr<Picture> DecodeJpeg(absl::string_view jpeg, const std::string& source) {
  const std::optional<PictureSize> size = ReadPictureSize(jpeg);
  if (!size || size->kind != PictureKind::kJpeg) {
    return absl::InvalidArgumentError(absl::StrCat(source, ": not a JPEG"));
  }
  if (absl::Status fits = CheckPictureSize(*size, source); !fits.ok()) return fits;
  Picture picture{size->width, size->height,
                  std::vector<uint8_t>(size_t{3} * size->width * size->height)};
  Decoding decoding{.picture = &picture};
  jpeg_decompress_struct decompress = {};
  const bool decoded = Decode(jpeg, &decompress, &decoding);
  jpeg_destroy_decompress(&decompress);
  if (decoded) return TurnUpright(std::move(picture), decoding.orientation);
  return absl::InvalidArgumentError(
      absl::StrCat(source, ": damaged JPEG: ", std::string(decoding.error)));
}

}  // namespace hmar
