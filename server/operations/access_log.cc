#include "server/operations/access_log.h"

#include <spdlog/logger.h>

#include <nlohmann/json.hpp>
#include <utility>

namespace hmar {

AccessLog::AccessLog(std::shared_ptr<spdlog::logger> logger) : logger_(std::move(logger)) {}

AccessLog::~AccessLog() = default;

void AccessLog::Write(const CallRecord& record) const {
  if (logger_ == nullptr) return;
  logger_->info(Line(record, absl::Now()));
}

std::string AccessLog::Line(const CallRecord& record, absl::Time now) {
  nlohmann::ordered_json line;
  line["time"] = absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", now, absl::UTCTimeZone());
  line["method"] = record.method;
  line["id"] = record.request_id;
  line["client"] = record.client;
  if (!record.key.empty()) line["key"] = record.key;
  line["model"] = record.model_name;
  if (record.class_id.has_value()) line["class"] = *record.class_id;
  if (record.edit) line["edit"] = true;
  line["images"] = record.images;
  line["images_accepted"] = record.images_accepted;
  line["images_sent"] = record.images_sent;
  line["previews_dropped"] = record.costs.previews_dropped;
  line["code"] = absl::StatusCodeToString(record.code);
  if (!record.reason.empty()) line["reason"] = record.reason;
  line["queued_s"] = absl::ToDoubleSeconds(record.costs.queued);
  line["ran_s"] = absl::ToDoubleSeconds(record.costs.ran);
  line["took_s"] = absl::ToDoubleSeconds(record.took);
  line["device_s"] = record.costs.device_seconds;
  return line.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

}  // namespace hmar
