#include "server/calls/jpeg_encoder.h"

#include <cstdio>
// jpeglib.h needs FILE.
#include <jpeglib.h>

#include <algorithm>
#include <csetjmp>
#include <new>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "server/calls/receipt_xmp.h"
#include "server/wire/request.h"

namespace hmar {
namespace {

constexpr int kQualityStep = 5;  // Down, where a picture takes too much.

// What libjpeg's callbacks work on. They report errors by longjmp, which runs no destructors: so
// this, and every other object that has one, lives outside the frame that may jump.
struct Sink {
  std::string bytes;
  char error[JMSG_LENGTH_MAX] = "";
  jpeg_error_mgr errors = {};
  jpeg_destination_mgr destination = {};
  std::jmp_buf leave = {};
  JOCTET buffer[16 << 10];
};

Sink& SinkOf(jpeg_compress_struct* jpeg) { return *static_cast<Sink*>(jpeg->client_data); }

[[noreturn]] void OnError(j_common_ptr jpeg) {
  auto* sink = static_cast<Sink*>(jpeg->client_data);
  jpeg->err->format_message(jpeg, sink->error);
  std::longjmp(sink->leave, 1);
}

void OnMessage(j_common_ptr, int) {}

void OnStart(j_compress_ptr jpeg) {
  Sink& sink = SinkOf(jpeg);
  sink.destination.next_output_byte = sink.buffer;
  sink.destination.free_in_buffer = sizeof(sink.buffer);
}

void Append(j_compress_ptr jpeg, size_t size) {
  Sink& sink = SinkOf(jpeg);
  bool out_of_memory = false;
  try {
    sink.bytes.append(reinterpret_cast<const char*>(sink.buffer), size);
  } catch (const std::bad_alloc&) {
    out_of_memory = true;
  }
  if (!out_of_memory) return;
  std::snprintf(sink.error, sizeof(sink.error), "out of memory");
  std::longjmp(sink.leave, 1);  // Not from inside the handler.
}

boolean OnFull(j_compress_ptr jpeg) {
  Append(jpeg, sizeof(Sink::buffer));
  OnStart(jpeg);
  return TRUE;
}

void OnEnd(j_compress_ptr jpeg) {
  Append(jpeg, sizeof(Sink::buffer) - SinkOf(jpeg).destination.free_in_buffer);
}

void Connect(Sink* sink, jpeg_compress_struct* jpeg) {
  jpeg->err = jpeg_std_error(&sink->errors);
  sink->errors.error_exit = OnError;
  sink->errors.emit_message = OnMessage;
  sink->destination.init_destination = OnStart;
  sink->destination.empty_output_buffer = OnFull;
  sink->destination.term_destination = OnEnd;
  jpeg->client_data = sink;
}

void Configure(const Picture& picture, int quality, jpeg_compress_struct* jpeg) {
  jpeg->image_width = picture.width;
  jpeg->image_height = picture.height;
  jpeg->input_components = 3;
  jpeg->in_color_space = JCS_RGB;
  jpeg_set_defaults(jpeg);
  jpeg_set_quality(jpeg, quality, /*force_baseline=*/TRUE);
  jpeg->optimize_coding = TRUE;
  jpeg->dct_method = JDCT_ISLOW;
  const int luma_samples = quality >= kFullColorQuality ? 1 : 2;  // To one of colour.
  jpeg->comp_info[0].h_samp_factor = luma_samples;
  jpeg->comp_info[0].v_samp_factor = luma_samples;
}

// All that may jump. Its locals are plain, and none changes after setjmp.
bool Write(const Picture& picture, int quality, const std::vector<std::string>& segments,
           jpeg_compress_struct* jpeg, Sink* sink) {
  if (setjmp(sink->leave) != 0) return false;
  Connect(sink, jpeg);
  jpeg_create_compress(jpeg);  // Keeps err and client_data alone.
  jpeg->dest = &sink->destination;
  Configure(picture, quality, jpeg);
  jpeg_start_compress(jpeg, TRUE);
  for (const std::string& segment : segments) {
    jpeg_write_marker(jpeg, JPEG_APP0 + 1, reinterpret_cast<const JOCTET*>(segment.data()),
                      static_cast<unsigned>(segment.size()));
  }
  for (uint32_t y = 0; y < picture.height; ++y) {
    // libjpeg does not write to it.
    auto* row = const_cast<JSAMPLE*>(picture.rgb.data() + size_t{y} * picture.width * 3);
    jpeg_write_scanlines(jpeg, &row, 1);
  }
  jpeg_finish_compress(jpeg);
  return true;
}

absl::StatusOr<std::string> EncodeAt(const Picture& picture, int quality,
                                     const std::vector<std::string>& segments) {
  Sink sink;
  sink.bytes.reserve(picture.rgb.size() / 8 + sizeof(sink.buffer));
  jpeg_compress_struct jpeg = {};
  const bool written = Write(picture, quality, segments, &jpeg, &sink);
  jpeg_destroy_compress(&jpeg);
  if (written) return std::move(sink.bytes);
  return absl::InternalError(absl::StrCat("JPEG of ", picture.width, " x ", picture.height,
                                          " pixels: ", std::string(sink.error)));
}

}  // namespace

absl::StatusOr<std::string> EncodeJpeg(const Picture& picture, int quality,
                                       const std::string& receipt_json) {
  const std::vector<std::string> segments = ReceiptSegments(receipt_json);
  size_t limit = MaxPictureBytes(picture.width, picture.height);
  for (const std::string& segment : segments) limit += segment.size() + 4;  // Marker and length.
  while (true) {
    absl::StatusOr<std::string> jpeg = EncodeAt(picture, quality, segments);
    if (!jpeg.ok() || jpeg->size() <= limit) return jpeg;
    if (quality == 1) {
      return absl::InternalError(absl::StrCat("JPEG: ", jpeg->size(), " bytes; at most ", limit));
    }
    quality = std::max(1, quality - kQualityStep);
  }
}

}  // namespace hmar
