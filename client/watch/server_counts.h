#ifndef HMAR_CLIENT_WATCH_SERVER_COUNTS_H_
#define HMAR_CLIENT_WATCH_SERVER_COUNTS_H_

// What of a server's metrics `hmar watch` shows, and how it changes. Pure.

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "client/metrics_text.h"

namespace hmar {

// A server says what it likes: of each kind of name so many are kept, each printable and cut, and
// so many buckets of a histogram.
inline constexpr size_t kMaxCountNames = 64;
inline constexpr size_t kMaxCountNameBytes = 64;
inline constexpr size_t kMaxCountBuckets = 64;

using Counts = std::map<std::string, double>;
using Buckets = std::map<double, double>;  // Observations up to a bound, by that bound.

// One look at a server. Numbers may be infinite or none.
struct ServerCounts {
  struct Model {
    double waiting = 0;  // Images.
    double running = 0;
    double images = 0;  // Finished so far.
    std::string precision;
    std::string digest;
  };
  struct Device {
    double running = 0;  // Images.
    double busy_seconds = 0;
    Counts memory_bytes;  // By kind.
  };
  struct Buffer {
    double bytes = 0;
    double limit_bytes = 0;
  };

  std::string version;
  bool ready = false;
  double start_seconds = 0;  // Since the epoch; 0: not said.
  double resident_bytes = 0;
  double waiting_clients = 0;
  double open_calls = 0;
  double connections = 0;
  double steps = 0;
  double step_images = 0;  // Summed over steps.
  double step_rows = 0;
  Counts images;                           // By outcome.
  Counts requests;                         // By code.
  Counts refused;                          // By reason.
  std::map<std::string, Buckets> latency;  // By the family's name; of all models together.
  std::map<std::string, Model> models;
  std::map<std::string, Device> devices;
  std::map<std::string, Buffer> buffers;
};

// Families of ServerCounts::latency.
inline constexpr char kRequestSeconds[] = "hmar_request_duration_seconds";
inline constexpr char kFirstPreviewSeconds[] = "hmar_time_to_first_preview_seconds";
inline constexpr char kQueueSeconds[] = "hmar_queue_duration_seconds";
inline constexpr char kStepSeconds[] = "hmar_step_duration_seconds";

// DATA_LOSS: nothing of it is an hmar-server's.
absl::StatusOr<ServerCounts> CountsOf(const std::vector<MetricSample>& samples);

// The bound below which a part `q` (0 .. 1) of the observations lie, interpolated within its bucket
// as Prometheus does; of what lies above all finite bounds the largest of them. Nothing: there are
// no observations.
std::optional<double> Quantile(const Buckets& buckets, double q);

// The looks of the last while. A server that has started again begins a new while. For one thread.
class CountWindow {
 public:
  static constexpr absl::Duration kLength = absl::Seconds(10);
  static constexpr size_t kMaxLooks = 128;

  void Add(ServerCounts counts, absl::Time when);

  bool empty() const { return looks_.empty(); }
  const ServerCounts& latest() const { return looks_.back().counts; }  // REQUIRES: not empty.
  double seconds() const;  // From the first look to the latest; 0: there is but one.

  // Of these two the growth a second over the window; 0 where there is none.
  double Rate(double ServerCounts::*count) const;
  Counts Rates(Counts ServerCounts::*counts) const;
  double ImagesRate(const std::string& model) const;
  double BusyPart(const std::string& device) const;  // 0 .. 1.

  // The observations of the window.
  Buckets Observed(const std::string& family) const;

 private:
  struct Look {
    ServerCounts counts;
    absl::Time when;
  };
  double RateOf(double before, double after) const;

  std::deque<Look> looks_;
};

}  // namespace hmar

#endif  // HMAR_CLIENT_WATCH_SERVER_COUNTS_H_
