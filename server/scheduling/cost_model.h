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

// A step that ran.
struct MeasuredStep {
  uint64_t rows = 0;  // Forward rows.
  absl::Duration took = absl::ZeroDuration();
  uint32_t pictures = 0;  // That came out of the decoder: FULL previews and images.
  absl::Duration decoding = absl::ZeroDuration();  // What its engine says that the decoder took.
};

// Seconds of a step: those of its forward rows and, on top, as much for each picture decoded.
//
// Over the rows it is a curve through the means of past steps in classes of rows, each twice as
// wide as the one below, made to rise by pooling neighbours that fall (isotonic regression). A
// class keeps what it knows while others run, but gives way where those contradict it: under load
// there are none but large steps, and a line through those alone says nothing about small ones. A
// step counts half as much as one about 14 steps of its class later.
//
// What a picture adds is found by least squares within the classes: how much longer steps of like
// rows take that decode more. It is at most what the decoder itself takes, and taken to be that
// until steps have differed enough to tell: an engine that decodes while it goes on adds less.
// Thread-compatible.
class CostModel {
 public:
  // `weight` (0 .. 1): how much the step says; less for steps of another device.
  void Observe(const MeasuredStep& step, double weight = 1);
  // So many uploaded pictures were tokenized, which took so long.
  void ObserveUploads(uint32_t pictures, absl::Duration took, double weight = 1);

  bool measured() const { return !curve_.empty(); }

  // Of a step of so many rows that decodes nothing, >= 0; between and beyond what was measured by
  // straight lines, after steps of one class alone in proportion to the rows. Zero before any step.
  double Seconds(double rows) const;

  // What a picture adds, >= 0.
  double picture_seconds() const { return picture_seconds_; }

  // What tokenizing an uploaded picture takes, >= 0; as much as decoding one until it has been
  // measured.
  double upload_seconds() const {
    return uploads_.weight > 0 ? uploads_.seconds : decoder_.seconds;
  }

 private:
  static constexpr size_t kClasses =
      33;  // By the width of `rows` in bits; what is above is in the last.

  struct Point {
    double weight = 0;
    double rows = 0;
    double seconds = 0;
  };
  // Steps of one class: means, and second moments about them.
  struct Class {
    double weight = 0;
    double rows = 0, pictures = 0, seconds = 0;
    double rows_rows = 0, rows_pictures = 0, pictures_pictures = 0;
    double rows_seconds = 0, pictures_seconds = 0;
  };
  // A mean of seconds, of which the later count more.
  struct Mean {
    double weight = 0;
    double seconds = 0;
    void Add(double more, double weight);
  };

  static void Add(const MeasuredStep& step, double weight, Class* steps);
  void FitPictures();
  void FitRows();
  double SlopeBelow() const;
  double SlopeAbove() const;

  std::array<Class, kClasses> classes_;
  Mean decoder_;  // A picture in the decoder.
  Mean uploads_;  // An upload in the encoder.
  double picture_seconds_ = 0;
  std::vector<Point> curve_;  // Rising in rows, not falling in seconds.
};

// What one device has left to do for one model's images.
struct ModelLoad {
  const CostModel* cost = nullptr;
  uint32_t images = 0;
  uint64_t rows = 0;           // Of all their passes that are left.
  uint32_t passes = 0;         // Most that one of them has left.
  uint32_t slots = 1;          // Images that may run at once.
  uint32_t max_step_rows = 1;  // Token budget of a step.
  double pictures = 0;         // To decode.
  double uploads = 0;          // To tokenize.
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
