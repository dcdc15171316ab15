#include "server/uploads/jpeg_reader.h"

#include <cstdio>
// jpeglib.h needs FILE.
#include <jerror.h>
#include <jpeglib.h>

#include <csetjmp>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"

namespace hmar {
namespace {

enum class Fault { kNone, kDamaged, kTruncated, kTooManyScans, kCancelled, kNoMemory };

// What libjpeg's callbacks work on. They report errors by longjmp, which runs no destructors: so
// this, and every other object that has one, lives outside the frame of Decode.
struct Reading {
  const JpegHeader& header;
  RowSink* const sink;
  const CancelCheck cancelled;
  uint32_t rows = 0;  // Taken so far.
  Fault fault = Fault::kNone;
  char error[JMSG_LENGTH_MAX] = "";
  jpeg_error_mgr errors = {};
  jpeg_source_mgr source = {};
  jpeg_progress_mgr progress = {};
  std::jmp_buf leave = {};
};

Reading& ReadingOf(j_common_ptr jpeg) { return *static_cast<Reading*>(jpeg->client_data); }

[[noreturn]] void Leave(j_common_ptr jpeg, Fault fault) {
  Reading& reading = ReadingOf(jpeg);
  reading.fault = fault;
  std::longjmp(reading.leave, 1);
}

[[noreturn]] void LeaveWithMessage(j_common_ptr jpeg) {
  jpeg->err->format_message(jpeg, ReadingOf(jpeg).error);
  Leave(jpeg, jpeg->err->msg_code == JERR_OUT_OF_MEMORY ? Fault::kNoMemory : Fault::kDamaged);
}

// libjpeg goes on after a warning with something grey in place of what is damaged. Only what costs
// no pixel passes.
void OnMessage(j_common_ptr jpeg, int level) {
  const int code = jpeg->err->msg_code;
  const bool harmless =
      code == JWRN_EXTRANEOUS_DATA || code == JWRN_ADOBE_XFORM || code == JWRN_JFIF_MAJOR;
  if (level < 0 && !harmless) LeaveWithMessage(jpeg);
}

void OnStart(j_decompress_ptr) {}

boolean OnNoMoreData(j_decompress_ptr jpeg) {
  Leave(reinterpret_cast<j_common_ptr>(jpeg), Fault::kTruncated);
}

void OnSkip(j_decompress_ptr jpeg, long bytes) {  // NOLINT(google-runtime-int): libjpeg's type.
  if (bytes <= 0) return;
  if (static_cast<size_t>(bytes) > jpeg->src->bytes_in_buffer) OnNoMoreData(jpeg);
  jpeg->src->next_input_byte += bytes;
  jpeg->src->bytes_in_buffer -= static_cast<size_t>(bytes);
}

// Before each row, and before each row of blocks of what has several scans.
void OnProgress(j_common_ptr jpeg) {
  if (ReadingOf(jpeg).cancelled()) Leave(jpeg, Fault::kCancelled);
  if (reinterpret_cast<j_decompress_ptr>(jpeg)->input_scan_number > kMaxJpegScans) {
    Leave(jpeg, Fault::kTooManyScans);
  }
}

void Connect(absl::string_view bytes, Reading* reading, jpeg_decompress_struct* jpeg) {
  jpeg->err = jpeg_std_error(&reading->errors);
  reading->errors.error_exit = LeaveWithMessage;
  reading->errors.emit_message = OnMessage;
  reading->source.next_input_byte = reinterpret_cast<const JOCTET*>(bytes.data());
  reading->source.bytes_in_buffer = bytes.size();
  reading->source.init_source = OnStart;
  reading->source.fill_input_buffer = OnNoMoreData;
  reading->source.skip_input_data = OnSkip;
  reading->source.resync_to_restart = jpeg_resync_to_restart;
  reading->source.term_source = OnStart;
  reading->progress.progress_monitor = OnProgress;
  jpeg->client_data = reading;
}

// Whether libjpeg has understood what the header's own reader has, on which memory was reckoned.
bool IsAsSaid(jpeg_decompress_struct* jpeg, const JpegHeader& header) {
  return jpeg->image_width == header.width && jpeg->image_height == header.height &&
         jpeg->num_components == header.components &&
         (jpeg_has_multiple_scans(jpeg) == TRUE) == (header.coefficient_bytes > 0);
}

// The most that libjpeg may keep between scans. Beyond it would be a fault here or there: it then
// looks for a file to put it in, and finds none.
void BoundMemory(const JpegHeader& header, jpeg_decompress_struct* jpeg) {
  constexpr size_t kRowsBytes = size_t{32} << 20;  // A few rows of blocks, 32,768 pixels wide.
  jpeg->mem->max_memory_to_use =
      static_cast<decltype(jpeg->mem->max_memory_to_use)>(header.coefficient_bytes + kRowsBytes);
}

void TakeRows(jpeg_decompress_struct* jpeg, Reading* reading, uint8_t* row) {
  const JpegHeader& header = reading->header;
  while (jpeg->output_scanline < jpeg->output_height) {
    const uint32_t y = jpeg->output_scanline;
    jpeg_read_scanlines(jpeg, &row, 1);
    reading->sink->Put(row, header.components, header.width,
                       PathOfRow(header.orientation, y, header.width, header.height));
    ++reading->rows;
  }
}

// All that may jump. Its locals are plain, and none changes after setjmp.
bool Decode(absl::string_view bytes, jpeg_decompress_struct* jpeg, Reading* reading, uint8_t* row) {
  if (setjmp(reading->leave) != 0) return false;
  Connect(bytes, reading, jpeg);
  jpeg_create_decompress(jpeg);  // Keeps err and client_data alone.
  jpeg->src = &reading->source;
  jpeg->progress = &reading->progress;
  jpeg_read_header(jpeg, TRUE);
  if (!IsAsSaid(jpeg, reading->header)) {
    std::snprintf(reading->error, sizeof(reading->error), "its header contradicts itself");
    reading->fault = Fault::kDamaged;
    return false;
  }
  BoundMemory(reading->header, jpeg);
  jpeg->out_color_space = reading->header.components == 1 ? JCS_GRAYSCALE : JCS_RGB;
  jpeg->dct_method = JDCT_ISLOW;
  jpeg->do_block_smoothing = FALSE;
  jpeg_start_decompress(jpeg);
  TakeRows(jpeg, reading, row);
  jpeg_finish_decompress(jpeg);
  return true;
}

absl::Status Outcome(const Reading& reading, size_t bytes) {
  const JpegHeader& header = reading.header;
  switch (reading.fault) {
    case Fault::kCancelled:
      return absl::CancelledError(
          absl::StrCat("cancelled after ", reading.rows, " of ", header.height, " rows"));
    case Fault::kTruncated:
      return absl::InvalidArgumentError(
          absl::StrCat("truncated JPEG: it ends after ", bytes, " bytes, before EOI"));
    case Fault::kTooManyScans:
      return absl::InvalidArgumentError(
          absl::StrCat("a JPEG of more than ", kMaxJpegScans, " scans"));
    case Fault::kNoMemory:
      return absl::ResourceExhaustedError(
          absl::StrCat("no memory for ", header.width, " x ", header.height, " pixels"));
    case Fault::kDamaged:
      return absl::InvalidArgumentError(absl::StrCat("damaged JPEG: ", std::string(reading.error)));
    case Fault::kNone:
      break;
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status ReadJpegRows(absl::string_view jpeg, const JpegHeader& header, CancelCheck cancelled,
                          RowSink* sink) {
  std::vector<uint8_t> row(size_t{header.width} * static_cast<size_t>(header.components));
  Reading reading{.header = header, .sink = sink, .cancelled = cancelled};
  jpeg_decompress_struct decompress = {};
  Decode(jpeg, &decompress, &reading, row.data());
  jpeg_destroy_decompress(&decompress);
  return Outcome(reading, jpeg.size());
}

}  // namespace hmar
