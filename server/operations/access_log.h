#ifndef HMAR_SERVER_OPERATIONS_ACCESS_LOG_H_
#define HMAR_SERVER_OPERATIONS_ACCESS_LOG_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace spdlog {
class logger;
}  // namespace spdlog

namespace hmar {

// What one call cost.
struct CallCosts {
  absl::Duration queued;      // Until the first image's first step; zero if none finished.
  absl::Duration ran;         // From there to the last finished image.
  double device_seconds = 0;  // Of the finished images.
  uint32_t previews_dropped = 0;
};

// How one call ended.
struct CallRecord {
  std::string method;  // "Generate", "GenerateImages"
  std::string request_id;
  std::string client;           // Peer address.
  std::string key;              // Name of the key that the call has shown; "": none.
  std::optional<size_t> model;  // Index in the catalog; absent while none was found.
  std::string model_name;
  std::optional<uint32_t> class_id;
  bool edit = false;
  uint32_t images = 0;           // Asked for.
  uint32_t images_accepted = 0;  // Of these, taken in by the scheduler: all, or none of a request
                                 // that was refused, only priced, or gone before.
  uint32_t images_sent = 0;
  absl::StatusCode code = absl::StatusCode::kOk;
  std::string reason;   // Of an error.
  absl::Duration took;  // From the call's arrival to its end.
  CallCosts costs;
};

// One line of JSON a call. Thread-safe; does not wait for the disk if the logger is asynchronous.
class AccessLog {
 public:
  // Null: writes nothing.
  explicit AccessLog(std::shared_ptr<spdlog::logger> logger);
  ~AccessLog();

  void Write(const CallRecord& record) const;

  // The line, without its end.
  static std::string Line(const CallRecord& record, absl::Time now);

 private:
  const std::shared_ptr<spdlog::logger> logger_;
};

}  // namespace hmar

#endif  // HMAR_SERVER_OPERATIONS_ACCESS_LOG_H_
