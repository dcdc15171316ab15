#ifndef HMAR_CLIENT_TERMINAL_REQUEST_PROGRESS_H_
#define HMAR_CLIENT_TERMINAL_REQUEST_PROGRESS_H_

// How far a request is, and what a terminal shows of it. Pure.

#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "absl/time/time.h"
#include "client/terminal/frame.h"
#include "client/terminal/terminal_kind.h"
#include "hmar/v1/image_generation.pb.h"
#include "model/picture.h"

namespace hmar {

// Takes a stream's events in; they are an answer to a request for `images` images
// (client/answer_check.h). What it keeps grows with the images that have had events; of their
// pictures it keeps kMaxPictures, those of the latest images, at most kMaxPictureSide pixels a
// side. For one thread.
class RequestProgress {
 public:
  static constexpr size_t kMaxPictures = 64;
  static constexpr uint32_t kMaxPictureSide = 512;

  struct ImageProgress {
    bool done = false;
    double part = 0;                         // Of its scales, 0 .. 1.
    std::string state;                       // Printable; empty: nothing has come of it yet.
    std::shared_ptr<const Picture> picture;  // The latest, or null.
    uint64_t version = 0;                    // Changes with the picture.
  };

  RequestProgress(uint32_t images, bool keeps_pictures)
      : images_(images), keeps_pictures_(keeps_pictures) {}

  void OnAccepted(const v1::Accepted& accepted);
  void OnRetry(const std::string& line);  // Stands in Accepted's place until the next one.
  void OnPreview(const v1::Preview& preview, const Picture& pixels, absl::Duration elapsed);
  void OnImage(const v1::Image& image, const Picture& pixels, absl::Duration elapsed);
  void OnCompleted(const v1::Completed& completed);

  uint32_t images() const { return images_; }
  uint32_t done() const { return done_; }
  uint32_t first_unfinished() const { return first_unfinished_; }  // images(): none.
  const std::string& accepted() const { return accepted_; }        // Empty: not yet.
  const std::string& completed() const { return completed_; }
  const ImageProgress& image(uint32_t index) const;
  bool has_pictures() const { return !with_picture_.empty(); }

 private:
  void KeepPicture(uint32_t index, const Picture& pixels);

  const uint32_t images_;
  const bool keeps_pictures_;
  std::string accepted_;
  std::string completed_;
  uint32_t done_ = 0;
  uint32_t first_unfinished_ = 0;
  uint64_t version_ = 0;
  std::map<uint32_t, ImageProgress> progress_;  // By index.
  std::map<uint32_t, ImageProgress*> with_picture_;
};

// Where things go on a screen: a header, a bar an image, a line that sums up, and a strip of
// pictures beneath. All of it is less high than the screen, and narrower.
struct ProgressLayout {
  bool header = false;
  uint32_t bars = 0;      // Images that have one, next to each other.
  bool status = false;    // The line that sums up.
  uint32_t pictures = 0;  // Likewise; 0: no strip.
  Size cells;             // Of each picture, without the gap right of it.
};

ProgressLayout LayOut(uint32_t images, bool pictures, const ScreenSize& size);

// The first of `shown` images next to each other: those from the first unfinished one on, as far as
// there are so many.
uint32_t FirstShown(uint32_t first_unfinished, uint32_t images, uint32_t shown);

// What to show. `elapsed` is the time since the request was sent.
Frame ProgressFrame(const RequestProgress& progress, const TerminalKind& kind,
                    const ScreenSize& size, absl::Duration elapsed);

}  // namespace hmar

#endif  // HMAR_CLIENT_TERMINAL_REQUEST_PROGRESS_H_
