#ifndef HMAR_SERVER_UPLOADS_ROW_SINK_H_
#define HMAR_SERVER_UPLOADS_ROW_SINK_H_

// Where decoded rows go, for the readers of picture_reader.h.

#include <cstddef>
#include <cstdint>

#include "model/picture.h"
#include "server/uploads/exif.h"
#include "server/uploads/picture_mask.h"

namespace hmar {

// Takes decoded rows of 8-bit samples: grey, grey and alpha, RGB or RGBA by `channels` (1 to 4).
// Neither throws nor jumps: C code is on the stack. For one thread.
class RowSink {
 public:
  virtual ~RowSink() = default;

  // Whether rows should come with their alpha, where the file has some.
  virtual bool wants_alpha() const = 0;

  // Pixel i of `count` is pixel path.first + i * path.step of the upright picture. REQUIRES: all of
  // them lie in it.
  virtual void Put(const uint8_t* row, int channels, uint32_t count, const RowPath& path) = 0;

  // Where a decoder may put all of an upright, opaque picture by itself, as RGB, row by row, in
  // place of Put; null: nowhere.
  virtual uint8_t* whole_rgb() = 0;
};

// Alpha is composited over white.
class PictureSink final : public RowSink {
 public:
  // `picture` has its size and its bytes, and outlives the sink.
  explicit PictureSink(Picture* picture) : picture_(picture) {}

  bool wants_alpha() const override { return true; }
  void Put(const uint8_t* row, int channels, uint32_t count, const RowPath& path) override;
  uint8_t* whole_rgb() override { return picture_->rgb.data(); }

 private:
  Picture* const picture_;
};

// White is a luma of 128 and more; alpha is ignored.
class MaskSink final : public RowSink {
 public:
  // Likewise.
  explicit MaskSink(PictureMask* mask) : mask_(mask) {}

  bool wants_alpha() const override { return false; }
  void Put(const uint8_t* row, int channels, uint32_t count, const RowPath& path) override;
  uint8_t* whole_rgb() override { return nullptr; }

 private:
  PictureMask* const mask_;
};

// White is what is wholly transparent, whatever its colour.
class TransparencySink final : public RowSink {
 public:
  // Likewise.
  explicit TransparencySink(PictureMask* mask) : mask_(mask) {}

  bool wants_alpha() const override { return true; }
  void Put(const uint8_t* row, int channels, uint32_t count, const RowPath& path) override;
  uint8_t* whole_rgb() override { return nullptr; }

  // Whether a row has come with its alpha.
  bool has_alpha() const { return has_alpha_; }

 private:
  PictureMask* const mask_;
  bool has_alpha_ = false;
};

}  // namespace hmar

#endif  // HMAR_SERVER_UPLOADS_ROW_SINK_H_
