#ifndef HMAR_SERVER_SCHEDULING_EARLY_END_H_
#define HMAR_SERVER_SCHEDULING_EARLY_END_H_

// When images that may end early (OnDeadline::kDegrade) do, and which are not worth going on with
// (kRefuse). Pure.
//
// Each time such an image takes part in a step, two questions are asked. Would it be late with all
// its passes? Then its mask passes go, which cost most of the time and decide least. Would it be
// late with one pass more than this one? Then this pass is its last, and its picture is decoded
// from the scales so far. The second question looks no further than the step after this one, where
// estimates are good: so nobody gives up a scale before there is no time for it. Under overload
// this settles by itself: images that waited longer have less time, so take less, so the next ones
// wait less.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "absl/time/time.h"
#include "absl/types/span.h"
#include "model/sampling_plan.h"
#include "server/scheduling/cost_model.h"

namespace hmar {

// What the next steps of one model on one device will take.
class StepForecast {
 public:
  // `planned`: the step about to run. `between`: what other models' steps take between two of this
  // one's. `pace` (>= 1): how much longer than estimated steps may take. `cost` outlives it.
  StepForecast(absl::Duration planned, absl::Duration between, double pace, const CostModel* cost,
               uint32_t max_step_rows);

  // An image in flight, by the passes that it has left before the planned step, and by scale which
  // leave a FULL preview (null: none).
  void Add(absl::Span<const Pass> left, const std::vector<bool>* full_previews = nullptr);
  // Slots that become free are taken again, by images like those in flight on the average. Call
  // once, after every Add.
  void Refill();

  // The planned step is to decode so many pictures more than it was.
  void AddPictures(uint32_t pictures) { planned_ += pictures * picture_; }

  // Until an image that takes part in the planned step has had so many passes (1: that step) and
  // after that step the pictures were decoded of all images that end by then, or of so many (its
  // own included), if that is more.
  absl::Duration Expected(size_t passes, double pictures) const;
  // The same, if steps take longer than estimated.
  absl::Duration AtMost(size_t passes, double pictures) const {
    return pace_ * Expected(passes, pictures);
  }

 private:
  // What all images' passes of a kind have.
  struct Passes {
    double rows = 0;
    double previews = 0;  // FULL ones.
    double ends = 0;      // Last passes.
    uint32_t images = 0;
  };
  absl::Duration TimeOf(const Passes& passes) const;  // Less the pictures of what ends.

  absl::Duration planned_;
  const absl::Duration between_, picture_;
  const double pace_;
  const CostModel& cost_;
  const double max_step_rows_;
  std::vector<Passes> next_;  // Of all images' i-th next passes.
};

// To how many scales an image is to be truncated, of the `num_scales` that it was to have, so that
// it is done within `left`; nothing: it goes on as planned. `due_before`: how many images with less
// time will have their pictures decoded after the planned step. Without them many would wait for
// the last moment, which is the same for all, and be late together. REQUIRES: next_pass <
// plan.size().
std::optional<uint32_t> ScalesInTime(absl::Span<const Pass> plan, size_t next_pass,
                                     uint32_t num_scales, absl::Duration left, uint32_t due_before,
                                     const StepForecast& forecast);

// How many of the images that could end with the planned step should, of those with `left` (rising)
// each: as many as leave the first that can be in time at all its time, and one at least. The
// others are better off a step later. `forward`: what the step takes without their pictures,
// `picture` what each of them adds.
size_t EndsOfStep(absl::Span<const absl::Duration> left, absl::Duration forward,
                  absl::Duration picture);

}  // namespace hmar

#endif  // HMAR_SERVER_SCHEDULING_EARLY_END_H_
