// Files of a model folder: weights in both formats, a pickle by itself, config.json. Nothing may
// crash, hang or take much more memory than the input has bytes; what opens can be read, or says
// why not. An input's first bytes say which reader it is for, as the files' own do.

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "model/checkpoint.h"
#include "model/config.h"
#include "model/state_dict.h"
#include "tests/fuzz/require.h"

namespace hmar {
namespace {

// A file in memory that has a path.
class MemoryFile {
 public:
  explicit MemoryFile(absl::Span<const uint8_t> bytes) : fd_(memfd_create("input", MFD_CLOEXEC)) {
    Require(write(fd_, bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size()),
            "memory takes the input");
  }
  ~MemoryFile() { close(fd_); }
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;

  std::string path() const { return "/proc/self/fd/" + std::to_string(fd_); }

 private:
  const int fd_;
};

constexpr size_t kMaxMessageBytes = 4096;

bool Opened(const absl::Status& status) {
  Require(status.message().size() <= kMaxMessageBytes, "messages are short");
  return status.ok();
}

void ReadAll(const absl::StatusOr<std::unique_ptr<Checkpoint>>& file, size_t file_bytes) {
  if (!Opened(file.status())) return;
  Require((*file)->Sha256()->size() == 64, "what opens has a digest");
  for (const auto& [name, info] : (*file)->tensors()) {
    std::vector<uint8_t> buffer;
    const auto bytes = (*file)->Read(name, &buffer);
    if (!Opened(bytes.status())) continue;
    const size_t wanted = static_cast<size_t>(info.elements()) * DTypeSize(info.dtype);
    Require(bytes->size() == wanted && wanted <= file_bytes, "a tensor lies in its file");
    Require(std::count(bytes->begin(), bytes->end(), 0) <= static_cast<ssize_t>(wanted),
            "every byte can be read");
  }
}

void RunOne(absl::Span<const uint8_t> input) {
  const std::string text(input.begin(), input.end());
  if (text.rfind("\x80", 0) == 0) {
    const auto tensors = ReadStateDict(input);
    if (!Opened(tensors.status())) return;
    for (const auto& [name, tensor] : *tensors) {
      Require(tensor.offset + tensor.span() <= tensor.storage_elements || tensor.span() == 0,
              "a view lies in its storage");
    }
  } else if (text.rfind("{", 0) == 0) {
    Opened(ParseModelConfig(text, "config.json").status());
  } else if (text.rfind("PK", 0) == 0) {
    ReadAll(OpenPth(MemoryFile(input).path()), input.size());
  } else {
    ReadAll(OpenSafetensors(MemoryFile(input).path()), input.size());
  }
}

}  // namespace
}  // namespace hmar

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  hmar::RunOne({data, size});
  return 0;
}
