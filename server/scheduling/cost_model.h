#ifndef HMAR_SERVER_SCHEDULING_COST_MODEL_H_
#define HMAR_SERVER_SCHEDULING_COST_MODEL_H_

// What steps cost, learned from those that ran, and how long a load of images will take.

#include <cstddef>
#include <cstdint>

#include "absl/time/time.h"
#include "absl/types/span.h"

namespace hmar {

// Seconds of a step as a line over its forward rows: least squares over past steps, in which a step
// counts half as much as one 70 steps later. Short enough to follow a device that throttles, long
// enough to see small steps and large ones. Thread-compatible.
class CostModel {
 public:
  // A step of `rows` rows took this long. `weight` (0 .. 1): how much that says; less for steps of
  // another device.
  void Observe(uint64_t rows, absl::Duration took, double weight = 1);

  bool measured() const { return weight_ > 0; }

  // Of a step, whatever its rows; >= 0. Zero before any step.
  double seconds_per_step() const { return line_.intercept; }
  // Of each row; >= 0. Zero before any step.
  double seconds_per_row() const { return line_.slope; }

 private:
  struct Line {
    double intercept = 0;
    double slope = 0;
  };
  Line Fit() const;

  // Decayed sums over the steps: 1, rows, seconds, rows^2, rows * seconds.
  double weight_ = 0;
  double rows_ = 0;
  double seconds_ = 0;
  double rows_squared_ = 0;
  double rows_seconds_ = 0;
  Line line_;
};

// What one device has left to do for one model's images.
struct ModelLoad {
  const CostModel* cost = nullptr;
  uint32_t images = 0;
  uint64_t rows = 0;           // Of all their passes that are left.
  uint32_t passes = 0;         // Most that one of them has left.
  uint32_t slots = 1;          // Images that may run at once.
  uint32_t max_step_rows = 1;  // Token budget of a step.
};

struct LoadEstimate {
  absl::Duration time;        // Until the load is done.
  double device_seconds = 0;  // What its own steps take of that.
};

// When the load of model `model` will be done on a device that the models share step by step: it
// takes its own steps and as many of each other model's.
LoadEstimate EstimateLoad(absl::Span<const ModelLoad> loads, size_t model);

}  // namespace hmar

#endif  // HMAR_SERVER_SCHEDULING_COST_MODEL_H_
