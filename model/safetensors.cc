#include <algorithm>
#include <cstring>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "model/checkpoint.h"
#include "model/digest.h"
#include "model/mapped_file.h"
#include "model/safetensors_header.h"
#include "model/status_macros.h"

namespace hmar {
namespace {

constexpr size_t kLengthBytes = 8;
constexpr uint64_t kMaxHeaderBytes = 100'000'000;  // The format's own limit.

using Entries = std::map<std::string, SafetensorsEntry>;

std::map<std::string, TensorInfo> InfoOf(const Entries& entries) {
  std::map<std::string, TensorInfo> tensors;
  for (const auto& [name, entry] : entries) tensors[name] = entry.info;
  return tensors;
}

class SafetensorsFile : public Checkpoint {
 public:
  SafetensorsFile(const std::string& path, std::unique_ptr<MappedFile> file, size_t data_begin,
                  Entries entries)
      : Checkpoint(path, InfoOf(entries)),
        file_(std::move(file)),
        data_begin_(data_begin),
        entries_(std::move(entries)) {}

  absl::StatusOr<absl::Span<const uint8_t>> Read(const std::string& name,
                                                 std::vector<uint8_t>* buffer) const override {
    const SafetensorsEntry& entry = entries_.at(name);
    const auto bytes = file_->bytes().subspan(data_begin_ + entry.begin, entry.end - entry.begin);
    // The format aligns the data part for no type in particular.
    const size_t alignment = DTypeSize(entry.info.dtype);
    if (reinterpret_cast<uintptr_t>(bytes.data()) % alignment == 0) return bytes;
    buffer->assign(bytes.begin(), bytes.end());
    return absl::MakeConstSpan(*buffer);
  }

  absl::StatusOr<std::string> Sha256() const override { return Sha256OfFile(*file_); }

 private:
  const std::unique_ptr<MappedFile> file_;
  const size_t data_begin_;  // Where the data part starts in the file.
  const Entries entries_;
};

absl::Status Annotated(const std::string& path, const absl::Status& status) {
  return absl::Status(status.code(), absl::StrCat(path, ": ", std::string(status.message())));
}

}  // namespace

absl::StatusOr<std::unique_ptr<Checkpoint>> OpenSafetensors(const std::string& path) {
  HMAR_ASSIGN_OR_RETURN(std::unique_ptr<MappedFile> file, MappedFile::Open(path));
  const absl::Span<const uint8_t> bytes = file->bytes();
  if (bytes.size() < kLengthBytes) {
    return absl::InvalidArgumentError(absl::StrCat(
        path, ": ", bytes.size(), " bytes; a safetensors file has at least ", kLengthBytes));
  }
  uint64_t header_bytes = 0;
  std::memcpy(&header_bytes, bytes.data(), kLengthBytes);
  const uint64_t limit = std::min<uint64_t>(kMaxHeaderBytes, bytes.size() - kLengthBytes);
  if (header_bytes > limit) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": claims a header of ", header_bytes, " bytes; at most ", limit,
                     " are possible (file cut short, or not a safetensors file)"));
  }
  const size_t data_begin = kLengthBytes + header_bytes;
  auto entries =
      ParseSafetensorsHeader(bytes.subspan(kLengthBytes, header_bytes), bytes.size() - data_begin);
  if (!entries.ok()) return Annotated(path, entries.status());
  return std::make_unique<SafetensorsFile>(path, std::move(file), data_begin, *std::move(entries));
}

}  // namespace hmar
