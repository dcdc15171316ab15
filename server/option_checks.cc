#include "server/option_checks.h"

#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "model/status_macros.h"
#include "server/devices.h"
#include "server/wire/validation.h"

namespace hmar {
namespace {

// What a request has beside its uploads: ids, names, a prefix.
constexpr uint64_t kBesideUploadsBytes = 1 << 16;

bool Holds(const std::vector<std::string>& list, const std::string& text) {
  return std::find(list.begin(), list.end(), text) != list.end();
}

// Each [NAME=]VALUE is of a model that there is, and none is given twice.
absl::Status CheckSettings(const std::string& flag, const std::vector<std::string>& settings,
                           const std::vector<std::string>& names) {
  std::vector<std::string> seen;
  for (const std::string& setting : settings) {
    const size_t equals = setting.find('=');
    const std::string name = equals == std::string::npos ? "" : setting.substr(0, equals);
    if (equals != std::string::npos && !Holds(names, name)) {
      return absl::InvalidArgumentError(absl::StrCat(flag, " ", setting, ": no --model is named '",
                                                     name, "'; there is ",
                                                     absl::StrJoin(names, ", ")));
    }
    if (Holds(seen, name)) {
      return absl::InvalidArgumentError(
          absl::StrCat(flag, " ", setting, ": given twice for ",
                       name.empty() ? "all models" : absl::StrCat("model ", name)));
    }
    seen.push_back(name);
  }
  return absl::OkStatus();
}

absl::Status CheckPrecisions(const ServerOptions& options, const std::vector<std::string>& names) {
  HMAR_ASSIGN_OR_RETURN(const std::vector<Device> devices, ParseDevices(options.device));
  for (const Device& device : devices) {
    for (const std::string& name : names) {
      const std::string precision = SettingOf(options.precisions, name, "auto");
      HMAR_RETURN_IF_ERROR(PrecisionOn(device, precision).status());
    }
  }
  return absl::OkStatus();
}

// `smaller` must be at most `larger`; `why`: what could not be otherwise.
struct Bound {
  const char* smaller_flag;
  uint64_t smaller;
  uint64_t needed;  // What `smaller` makes necessary.
  const char* larger_flag;
  uint64_t larger;
  const char* why;
};

absl::Status CheckBound(const Bound& bound) {
  if (bound.needed <= bound.larger) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(bound.smaller_flag, " ", bound.smaller, " needs ",
                                                 bound.larger_flag, " of at least ", bound.needed,
                                                 ", not ", bound.larger, ": ", bound.why));
}

absl::Status CheckLimits(const ServerOptions& o) {
  const uint64_t uploads = uint64_t{2} * o.max_upload_bytes;  // An image and a mask.
  const Bound bounds[] = {
      {"--max-images-per-request", o.max_images_per_request, o.max_images_per_request,
       "--max-queued-images", o.max_queued_images,
       "a larger request than the queue could never be accepted"},
      {"--max-upload-bytes", o.max_upload_bytes, uploads + kBesideUploadsBytes,
       "--max-message-bytes", o.max_message_bytes,
       "an image and a mask of that size come in one message"},
      {"--max-upload-bytes", o.max_upload_bytes, uploads, "--upload-buffer-bytes",
       o.upload_buffer_bytes, "an image and a mask of that size are held together"},
      {"--max-upload-pixels", o.max_upload_pixels, uint64_t{4} * o.max_upload_pixels,
       "--upload-decode-bytes", o.upload_decode_bytes,
       "a pixel takes 3 bytes, and large uploads have three quarters of the bound"},
  };
  for (const Bound& bound : bounds) HMAR_RETURN_IF_ERROR(CheckBound(bound));
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::vector<std::string>> ModelNames(const ServerOptions& options) {
  std::vector<std::string> names;
  for (const std::string& text : options.models) {
    HMAR_ASSIGN_OR_RETURN(const ModelSpec spec, ParseModelSpec(text));
    if (Holds(names, spec.name)) {
      return absl::InvalidArgumentError(absl::StrCat("--model: two models named ", spec.name));
    }
    names.push_back(spec.name);
  }
  if (names.empty()) names.emplace_back(kBundledModelName);
  return names;
}

absl::Status CheckOptions(const ServerOptions& options) {
  HMAR_ASSIGN_OR_RETURN(const std::vector<std::string> names, ModelNames(options));
  HMAR_RETURN_IF_ERROR(CheckSettings("--architecture", options.architectures, names));
  HMAR_RETURN_IF_ERROR(CheckSettings("--precision", options.precisions, names));
  HMAR_RETURN_IF_ERROR(CheckPrecisions(options, names));
  return CheckLimits(options);
}

absl::Status CheckBuffers(const ServerOptions& options, absl::Span<const EngineInfo> models) {
  for (const EngineInfo& model : models) {
    const size_t bytes = LargestImageBytes(model.config);
    const auto check = [&](const char* flag, uint32_t limit) {
      if (bytes <= limit) return absl::OkStatus();
      return absl::InvalidArgumentError(
          absl::StrCat(flag, " ", limit, ": an image of --model ", model.config.name, ", ",
                       model.config.image_size, " px, may take ", bytes, " bytes"));
    };
    HMAR_RETURN_IF_ERROR(check("--max-message-bytes", options.max_message_bytes));
    HMAR_RETURN_IF_ERROR(check("--stream-buffer-bytes", options.stream_buffer_bytes));
    HMAR_RETURN_IF_ERROR(check("--delivery-buffer-bytes", options.delivery_buffer_bytes / 2));
  }
  return absl::OkStatus();
}

}  // namespace hmar
