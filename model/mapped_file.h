#ifndef HMAR_MODEL_MAPPED_FILE_H_
#define HMAR_MODEL_MAPPED_FILE_H_

// Internal to model/: a file's bytes without copying them.

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/types/span.h"

namespace hmar {

// A read-only mapping of a whole regular file (or a symbolic link to one). Safe from any thread.
// The file must keep its length while mapped, as with any mapping: replace it by rename, never in
// place. Then this stays the file that was opened.
class MappedFile {
 public:
  // NOT_FOUND: no such file. INVALID_ARGUMENT: a folder, pipe or device. Others as the system says.
  static absl::StatusOr<std::unique_ptr<MappedFile>> Open(const std::string& path);

  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  absl::Span<const uint8_t> bytes() const { return {data_, size_}; }

  // The same file, for reads that leave no pages in the mapping. Belongs to this object.
  int fd() const { return fd_; }

 private:
  MappedFile(int fd, const uint8_t* data, size_t size) : fd_(fd), data_(data), size_(size) {}

  const int fd_;
  const uint8_t* const data_;
  const size_t size_;
};

}  // namespace hmar

#endif  // HMAR_MODEL_MAPPED_FILE_H_
