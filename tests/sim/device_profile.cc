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

absl::StatusOr<DeviceProfile> ProfileOf(const Json& json) {
  DeviceProfile profile;
  profile.source = json.at("source");
  HMAR_ASSIGN_OR_RETURN(profile.config, ConfigOf(json.at("model")));
  profile.slots = json.at("slots");
  profile.max_step_rows = json.at("max_step_rows");
  for (const Json& point : json.at("forward")) {
    profile.forward.push_back({point.at(0), point.at(1)});
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
  double least = 0;
  for (const CostPoint& point : profile.forward) {
    if (point.rows <= least || !(point.seconds > 0)) {
      return bad(absl::StrCat("forward has [", point.rows, ", ", point.seconds,
                              "]; rows must rise, seconds be above 0"));
    }
    least = point.rows;
  }
  for (const double seconds :
       {profile.picture_seconds, profile.decoder_seconds, profile.between_steps_seconds,
        profile.answer_seconds, profile.jitter, profile.start_up_seconds}) {
    if (!(seconds >= 0)) return bad(absl::StrCat("a time or jitter is ", seconds, ", below 0"));
  }
  return absl::OkStatus();
}

double DeviceProfile::ForwardSeconds(double rows) const {
  if (forward.size() == 1) return forward[0].seconds;
  const auto inside = [this](double r) {
    return std::upper_bound(forward.begin() + 1, forward.end() - 1, r,
                            [](double at, const CostPoint& point) { return at < point.rows; });
  };
  const auto above = inside(rows);
  const CostPoint& below = *std::prev(above);
  const double slope = (above->seconds - below.seconds) / (above->rows - below.rows);
  return std::max(0.0, below.seconds + slope * (rows - below.rows));
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
