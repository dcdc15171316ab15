#ifndef HMAR_SERVER_HTTP_PAGE_FILES_H_
#define HMAR_SERVER_HTTP_PAGE_FILES_H_

#include <vector>

#include "absl/strings/string_view.h"

namespace hmar {

// A file of playground/, as it was when this was built.
struct PageFile {
  absl::string_view name;
  absl::string_view bytes;
  absl::string_view digest;  // Of the bytes, in hex.
};

// All of them. Defined in what embed.cmake makes.
const std::vector<PageFile>& PageFiles();

// The file that a path names: "/" is index.html. Null: none.
inline const PageFile* PageFileAt(absl::string_view path) {
  for (const PageFile& file : PageFiles()) {
    const bool named = path.size() == file.name.size() + 1 && path.substr(1) == file.name;
    if (named || (path == "/" && file.name == "index.html")) return &file;
  }
  return nullptr;
}

}  // namespace hmar

#endif  // HMAR_SERVER_HTTP_PAGE_FILES_H_
