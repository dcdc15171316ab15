#ifndef HMAR_TESTS_SIM_AUTOSCALER_H_
#define HMAR_TESTS_SIM_AUTOSCALER_H_

#include <cstdint>
#include <deque>
#include <optional>
#include <utility>
#include <vector>

#include "absl/time/time.h"

namespace hmar::sim {

// What it looks at, over all replicas.
enum class ScalingMetric {
  kQueueSeconds,  // Mean of hmar_queue_duration_seconds.
  kWaitSeconds,   // hmar_queue_images by the images that begin in a second: the chart's
                  // queueSeconds.
  kBusyShare,     // Of hmar_device_busy_seconds_total: the chart's busyPercent.
  kImagesPerPod,  // hmar_queue_images and hmar_running_images, by the replicas that are ready.
};

struct ScalingTarget {
  ScalingMetric metric = ScalingMetric::kQueueSeconds;
  double value = 0;  // In the metric's unit, above 0.
};

// A HorizontalPodAutoscaler (autoscaling/v2) on external metrics with target Values, as its
// controller works: what it is asked for has the same names in its manifest.
struct AutoscalerOptions {
  std::vector<ScalingTarget> targets;  // The one that asks for most counts; none: no autoscaler.
  uint32_t min_replicas = 1;
  uint32_t max_replicas = 1000;
  double tolerance = 0.1;                         // The metric may be so far off its target.
  absl::Duration sync = absl::Seconds(15);        // Between two looks.
  absl::Duration down_window = absl::Minutes(5);  // scaleDown.stabilizationWindowSeconds
  absl::Duration down_period = absl::Minutes(1);  // scaleDown.policies[0].periodSeconds
  double down_percent = 100;                      // Percent, likewise: at most so much fewer,
  uint32_t down_pods = 0;                         // or so many, whichever is more.
  absl::Duration up_period = absl::Seconds(15);   // scaleUp.policies[].periodSeconds
  double up_percent = 100;                        // At most so much more,
  uint32_t up_pods = 4;                           // or so many, whichever is more.
};

// Pure but for what it remembers: recommendations and scalings. Thread-compatible.
class Autoscaler {
 public:
  using Metrics = std::vector<std::optional<double>>;

  explicit Autoscaler(const AutoscalerOptions& options) : options_(options) {}

  // What there should be. `current`: asked for now; `ready`: of these, those that are. `metrics`:
  // in the order of the targets. Where one is absent, since there is nothing to measure, the others
  // make nothing fewer.
  uint32_t Sync(absl::Time now, uint32_t current, uint32_t ready, const Metrics& metrics);

 private:
  using Past = std::deque<std::pair<absl::Time, uint32_t>>;

  uint32_t Recommend(uint32_t current, uint32_t ready, const Metrics& metrics) const;
  uint32_t RecommendBy(double ratio, uint32_t current, uint32_t ready) const;
  uint32_t Stabilize(absl::Time now, uint32_t current, uint32_t recommended);
  // What `current` may become at most and at least, given what was asked for a period ago.
  uint32_t Most(absl::Time now, uint32_t current) const;
  uint32_t Least(absl::Time now, uint32_t current) const;
  uint32_t Before(absl::Time then) const;

  const AutoscalerOptions options_;
  Past recommended_;
  Past asked_for_;
};

}  // namespace hmar::sim

#endif  // HMAR_TESTS_SIM_AUTOSCALER_H_
