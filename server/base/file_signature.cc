#include "server/base/file_signature.h"

#include <sys/stat.h>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"

namespace hmar {

std::string SignatureOf(const std::string& file) {
  struct stat now = {};
  if (stat(file.c_str(), &now) != 0) return "";
  return absl::StrCat(now.st_dev, " ", now.st_ino, " ", now.st_size, " ",
                      absl::ToUnixNanos(absl::TimeFromTimespec(now.st_mtim)), " ",
                      absl::ToUnixNanos(absl::TimeFromTimespec(now.st_ctim)));
}

}  // namespace hmar
