#ifndef HMAR_CLIENT_ANSWER_CHECK_H_
#define HMAR_CLIENT_ANSWER_CHECK_H_

// The one place that holds an answer against its request. A server is not trusted: without this, it
// chooses how many files are written and by which names, and how much memory its pictures take.
// Client checks every answer with it; a program that reads streams by other means should, too.

#include <cstddef>
#include <cstdint>
#include <set>
#include <unordered_map>

#include "absl/status/status.h"
#include "client/picture_header.h"
#include "hmar/v1/image_generation.pb.h"

namespace hmar {

// What an answer may hold beyond what its request says. A model's own numbers are the server's
// word, so these are bounds that no model reaches.
struct AnswerLimits {
  // Pixels of a picture's width and of its height. Give Model.image_size where it is known from
  // elsewhere than this server.
  uint32_t picture_side_pixels = 4096;
  uint32_t scales = 64;              // Of a model.
  uint32_t image_tokens = 1 << 16;   // Of all scales of an image together.
  size_t receipt_bytes = 64 << 10;   // Serialized; of the one in a picture, too.
  uint32_t unknown_events = 10'000;  // Of a later version of the API.
};

// Follows one answer, event by event. What holds of the events that passed:
// - Accepted comes first and once, then for each image its previews in the order of scales and its
//   Image, once; Completed is the last, and no image is missing before it.
// - Indices are below request.num_images; seeds are Accepted.seed + index, and Accepted.seed is the
//   request's if it gave one.
// - There are previews only if the request asks for them, of the scales it asks for, each at most
//   once; the number of scales stays the same.
// - Pictures have the format asked for, say rightly whether it is lossy, have the very size they
//   declare (read from a file's header) within the limit, and no more bytes than such a picture can
//   need; all Images have one size. That a file's pixels are sound is for its decoder to find.
// - request_id and model are at most 128 and 256 bytes; tokens and receipts keep to the limits.
// Texts are as the server sent them: see client/printable.h before showing them.
//
// So an answer has at most num_images * limits.scales pictures, each of at most
// 3 * picture_side_pixels^2 bytes decoded. For one thread; holds a few dozen bytes an image.
class AnswerCheck {
 public:
  explicit AnswerCheck(const v1::GenerateRequest& request, const AnswerLimits& limits = {});

  // The next event. DATA_LOSS, with the value and the limit: it is no part of an answer to the
  // request; end the call then.
  absl::Status Event(const v1::GenerateResponse& event);

  // The stream ended without an error. DATA_LOSS: before Completed.
  absl::Status End() const;

 private:
  struct Size {
    uint32_t width = 0;
    uint32_t height = 0;
    friend bool operator==(const Size&, const Size&) = default;
  };
  struct ImageState {
    uint32_t next_scale = 0;  // Of its next preview, at least.
    bool done = false;
  };

  absl::Status CheckAccepted(const v1::Accepted& accepted);
  absl::Status CheckPreview(const v1::Preview& preview);
  absl::Status CheckPreviewScale(const v1::Preview& preview);
  absl::Status CheckImage(const v1::Image& image);
  absl::Status CheckContent(const v1::Image& image) const;
  absl::Status CheckCompleted(const v1::Completed& completed);
  absl::Status CheckOrder(const v1::GenerateResponse& event);
  absl::Status CheckIndex(uint32_t index) const;
  absl::Status CheckPicture(const v1::Picture& picture) const;
  absl::Status CheckFile(const v1::Picture& picture, PictureKind kind) const;

  // Of the request.
  const AnswerLimits limits_;
  const uint32_t images_;
  const bool has_seed_;
  const bool wants_previews_;
  const bool validate_only_;
  const v1::OutputOptions::Format format_;
  const bool lossless_;
  const std::set<uint32_t> preview_scales_;  // Empty: all but the last.

  // Of the answer so far.
  bool accepted_ = false;
  bool completed_ = false;
  uint64_t seed_;            // Accepted's; before it the request's.
  uint32_t num_scales_ = 0;  // 0: no preview has said it.
  uint32_t images_done_ = 0;
  uint32_t unknown_events_ = 0;
  Size image_size_;  // Of every Image; 0 x 0: there is none yet.
  std::unordered_map<uint32_t, ImageState> states_;
};

}  // namespace hmar

#endif  // HMAR_CLIENT_ANSWER_CHECK_H_
