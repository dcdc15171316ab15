#include "tests/sim/device_profile.h"

#include <algorithm>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/str_cat.h"
#include "model/status_macros.h"

namespace hmar::sim {
namespace {

using Json = nlohmann::json;

absl::StatusOr<std::string> ReadText(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return absl::NotFoundError(absl::StrCat("cannot read ", path));
  return std::string(std::istreambuf_iterator<char>(file), {});
}

absl::StatusOr<ModelConfig> ConfigOf(const std::string& model) {
  if (absl::StatusOr<ModelConfig> released = OfficialArchitecture(model); released.ok()) {
    return released;
  }
  const std::string path = absl::StrCat(model, "/config.json");
  HMAR_ASSIGN_OR_RETURN(const std::string text, ReadText(path));
  return ParseModelConfig(text, path);
}

std::vector<CostPoint> PointsOf(const Json& json) {
  std::vector<CostPoint> points;
  for (const Json& point : json) points.push_back({point.at(0), point.at(1)});
  return points;
}

absl::StatusOr<DeviceProfile> ProfileOf(const Json& json) {
  DeviceProfile profile;
  profile.source = json.at("source");
  HMAR_ASSIGN_OR_RETURN(profile.config, ConfigOf(json.at("model")));
  profile.slots = json.at("slots");
  profile.max_step_rows = json.at("max_step_rows");
  profile.forward = PointsOf(json.at("forward"));
  profile.alone = PointsOf(json.value("alone", Json::array()));
  for (const Json& point : json.value("after_rest", Json::array())) {
    profile.after_rest.push_back({point.at(0), point.at(1)});
  }
  profile.picture_seconds = json.at("picture_seconds");
  profile.decoder_seconds = json.at("decoder_seconds");
  profile.between_steps_seconds = json.at("between_steps_seconds");
  profile.answer_seconds = json.at("answer_seconds");
  profile.jitter = json.at("jitter");
  profile.start_up_seconds = json.at("start_up_seconds");
  return profile;
}

absl::StatusOr<DeviceProfiles> ProfilesOf(const std::string& text) {
  DeviceProfiles profiles;
  const Json file = Json::parse(text);
  for (const auto& [name, json] : file.items()) {
    HMAR_ASSIGN_OR_RETURN(profiles[name], ProfileOf(json));
    HMAR_RETURN_IF_ERROR(CheckProfile(name, profiles[name]));
  }
  return profiles;
}

}  // namespace

absl::Status CheckProfile(const std::string& name, const DeviceProfile& profile) {
  const auto bad = [&name](const std::string& what) {
    return absl::InvalidArgumentError(absl::StrCat("device ", name, ": ", what));
  };
  if (profile.slots == 0) return bad("slots is 0, must be at least 1");
  if (profile.max_step_rows == 0) return bad("max_step_rows is 0, must be at least 1");
  if (profile.forward.empty()) return bad("forward has no point, must have at least one");
  for (const auto& [table, points] :
       {std::pair("forward", &profile.forward), std::pair("alone", &profile.alone)}) {
    double least = 0;
    for (const CostPoint& point : *points) {
      if (point.rows <= least || !(point.seconds > 0)) {
        return bad(absl::StrCat(table, " has [", point.rows, ", ", point.seconds,
                                "]; rows must rise, seconds be above 0"));
      }
      least = point.rows;
    }
  }
  double least = 0;
  for (const RestPoint& point : profile.after_rest) {
    if (point.rest_seconds <= least || !(point.more_seconds >= 0)) {
      return bad(absl::StrCat("after_rest has [", point.rest_seconds, ", ", point.more_seconds,
                              "]; rests must rise from above 0, seconds be 0 or more"));
    }
    least = point.rest_seconds;
  }
  for (const double seconds :
       {profile.picture_seconds, profile.decoder_seconds, profile.between_steps_seconds,
        profile.answer_seconds, profile.jitter, profile.start_up_seconds}) {
    if (!(seconds >= 0)) return bad(absl::StrCat("a time or jitter is ", seconds, ", below 0"));
  }
  return absl::OkStatus();
}

double DeviceProfile::ForwardSeconds(double rows, size_t passes) const {
  const std::vector<CostPoint>& points = passes > 1 || alone.empty() ? forward : alone;
  if (points.size() == 1) return points[0].seconds;
  const auto above =
      std::upper_bound(points.begin() + 1, points.end() - 1, rows,
                       [](double at, const CostPoint& point) { return at < point.rows; });
  const CostPoint& below = *std::prev(above);
  const double slope = (above->seconds - below.seconds) / (above->rows - below.rows);
  return std::max(0.0, below.seconds + slope * (rows - below.rows));
}

double DeviceProfile::AfterRestSeconds(double rest_seconds) const {
  RestPoint before;
  for (const RestPoint& point : after_rest) {
    if (rest_seconds < point.rest_seconds) {
      const double part =
          (rest_seconds - before.rest_seconds) / (point.rest_seconds - before.rest_seconds);
      return before.more_seconds + part * (point.more_seconds - before.more_seconds);
    }
    before = point;
  }
  return before.more_seconds;
}

absl::StatusOr<DeviceProfiles> ReadDeviceProfiles(const std::string& path) {
  HMAR_ASSIGN_OR_RETURN(const std::string text, ReadText(path));
  try {
    return ProfilesOf(text);
  } catch (const Json::exception& error) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": ", error.what()));
  }
}

}  // namespace hmar::sim
