#ifndef HMAR_SERVER_SCHEDULING_COST_MODEL_H_
#define HMAR_SERVER_SCHEDULING_COST_MODEL_H_

// What steps cost, learned from those that ran, and how long a load of images will take.

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/time/time.h"
#include "absl/types/span.h"

namespace hmar {

// Seconds of a step over its forward rows: a curve through the means of past steps in classes of
// rows, each twice as wide as the one below, made to rise by pooling neighbours that fall (isotonic
// regression). A class keeps what it knows while others run, but gives way where those contradict
// it: under load there are none but large steps, and a line through those alone says nothing about
// small ones. A step counts half as much as one about 14 steps of its class later.
// Thread-compatible.
class CostModel {
 public:
  // A step of `rows` rows took this long. `weight` (0 .. 1): how much that says; less for steps of
  // another device.
  void Observe(uint64_t rows, absl::Duration took, double weight = 1);

  bool measured() const { return !curve_.empty(); }

  // Of a step of so many rows, >= 0; between and beyond what was measured by straight lines, after
  // steps of one class alone in proportion to the rows. Zero before any step.
  double Seconds(double rows) const;

  // The most rows that take at most so long; infinite where rows cost nothing.
  double RowsWithin(double seconds) const;

 private:
  static constexpr size_t kClasses =
      33;  // By the width of `rows` in bits; what is above is in the last.

  struct Point {
    double weight = 0;
    double rows = 0;
    double seconds = 0;
  };

  void Fit();
  double SlopeBelow() const;
  double SlopeAbove() const;

  std::array<Point, kClasses> classes_;  // Means.
  std::vector<Point> curve_;             // Rising in rows, not falling in seconds.
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
