#include "server/bundled_model.h"

#include <filesystem>
#include <system_error>
#include <vector>

#include "absl/strings/str_cat.h"

namespace hmar {

absl::StatusOr<ModelSpec> BundledModel() {
  namespace fs = std::filesystem;
  std::error_code ignored;
  const fs::path program = fs::read_symlink("/proc/self/exe", ignored);
  const fs::path installed =
      program.parent_path().parent_path() / "share" / "hmar-server" / "models" / kBundledModelName;
  const fs::path source = fs::path(HMAR_SOURCE_DIR) / "deploy" / "models" / kBundledModelName;
  for (const fs::path& path : {installed, source}) {
    if (!fs::is_directory(path, ignored)) continue;
    ModelSpec spec;
    spec.name = kBundledModelName;
    spec.path = path.string();
    return spec;
  }
  return absl::NotFoundError(absl::StrCat("no --model given, and the bundled model is neither in ",
                                          installed.string(), " nor in ", source.string()));
}

}  // namespace hmar
