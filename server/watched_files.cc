#include "server/watched_files.h"

#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "model/status_macros.h"
#include "server/base/file_signature.h"
#include "server/option_checks.h"

namespace hmar {
namespace {

// `open`: from the path to what is made of the file, which can read it again.
template <typename File, typename Open>
absl::Status OpenOne(const char* flag, const std::string& path, Reloader* reloader, Open open,
                     std::unique_ptr<File>* file) {
  if (path.empty()) return absl::OkStatus();
  const std::string seen = SignatureOf(path);
  absl::StatusOr<std::unique_ptr<File>> opened = open(path);
  if (!opened.ok()) {
    return absl::Status(opened.status().code(),
                        absl::StrCat(flag, ": ", std::string(opened.status().message())));
  }
  *file = *std::move(opened);
  reloader->Watch(flag, path, seen, [raw = file->get()] { return raw->Reload(); });
  return absl::OkStatus();
}

}  // namespace

absl::Status WatchedFiles::Open(const ServerOptions& options, Reloader* reloader) {
  HMAR_ASSIGN_OR_RETURN(const std::vector<std::string> models, ModelNames(options));
  HMAR_RETURN_IF_ERROR(OpenOne(
      "--keys", options.keys, reloader,
      [&](const std::string& path) { return KeyRing::Open(path, models, &clock_, &steady_); },
      &keys_));
  return OpenOne(
      "--metrics-basic-auth", options.metrics_basic_auth, reloader,
      [&](const std::string& path) { return BasicAuth::Open(path, &steady_); }, &metrics_auth_);
}

}  // namespace hmar
