#include <algorithm>
#include <cstring>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "model/checkpoint.h"
#include "model/digest.h"
#include "model/mapped_file.h"
#include "model/state_dict.h"
#include "model/status_macros.h"
#include "model/zip_archive.h"

namespace hmar {
namespace {

// A state dict of 10,000 tensors takes 2 MB.
constexpr uint64_t kMaxPickleBytes = 8 << 20;
constexpr char kPickle[] = "/data.pkl";

using Tensors = std::map<std::string, StoredTensor>;

absl::Status Annotated(const std::string& where, const absl::Status& status) {
  return absl::Status(status.code(), absl::StrCat(where, std::string(status.message())));
}

// Copies the view's elements, row-major, from `in`, which starts at the view's first one.
std::vector<uint8_t> Gather(const std::vector<uint8_t>& in, const StoredTensor& tensor) {
  const std::vector<int64_t>& shape = tensor.info.shape;
  const size_t size = DTypeSize(tensor.info.dtype);
  std::vector<uint8_t> out(static_cast<size_t>(tensor.info.elements()) * size);
  std::vector<int64_t> index(shape.size(), 0);
  int64_t at = 0;  // The element that `index` names, counted from the first.
  for (size_t written = 0; written < out.size(); written += size) {
    std::memcpy(&out[written], &in[static_cast<size_t>(at) * size], size);
    for (size_t d = shape.size(); d-- > 0;) {
      at += tensor.strides[d];
      if (++index[d] < shape[d]) break;
      at -= tensor.strides[d] * shape[d];
      index[d] = 0;
    }
  }
  return out;
}

std::map<std::string, TensorInfo> InfoOf(const Tensors& tensors) {
  std::map<std::string, TensorInfo> infos;
  for (const auto& [name, tensor] : tensors) infos[name] = tensor.info;
  return infos;
}

class PthFile : public Checkpoint {
 public:
  // `root` leads the names of the archive's entries.
  PthFile(const std::string& path, std::unique_ptr<MappedFile> file,
          std::unique_ptr<ZipArchive> archive, std::string root, Tensors tensors)
      : Checkpoint(path, InfoOf(tensors)),
        file_(std::move(file)),
        archive_(std::move(archive)),
        root_(std::move(root)),
        stored_(std::move(tensors)) {}

  absl::StatusOr<absl::Span<const uint8_t>> Read(const std::string& name,
                                                 std::vector<uint8_t>* buffer) const override {
    const StoredTensor& tensor = stored_.at(name);
    const ZipEntry& entry = archive_->entries().at(root_ + "/data/" + tensor.storage_key);
    const size_t size = DTypeSize(tensor.info.dtype);
    auto bytes = archive_->Read(entry, static_cast<uint64_t>(tensor.offset) * size,
                                static_cast<uint64_t>(tensor.span()) * size);
    if (!bytes.ok()) {
      return Annotated(absl::StrCat(path(), ": tensor ", QuotedName(name), ": "), bytes.status());
    }
    *buffer = tensor.is_contiguous() ? *std::move(bytes) : Gather(*bytes, tensor);
    return absl::MakeConstSpan(*buffer);
  }

  absl::StatusOr<std::string> Sha256() const override { return Sha256OfFile(*file_); }

 private:
  const std::unique_ptr<MappedFile> file_;  // What the archive reads.
  const std::unique_ptr<ZipArchive> archive_;
  const std::string root_;
  const Tensors stored_;
};

// The folder in which torch.save put everything; its name is the saver's choice.
absl::StatusOr<std::string> FindRoot(const ZipArchive& archive) {
  std::vector<std::string> roots;
  for (const auto& [name, entry] : archive.entries()) {
    const size_t slash = name.find('/');
    if (slash != std::string::npos && name.compare(slash, std::string::npos, kPickle) == 0) {
      roots.push_back(name.substr(0, slash));
    }
  }
  if (roots.size() == 1) return roots.front();
  return absl::InvalidArgumentError(absl::StrCat("is a zip archive with ", roots.size(),
                                                 " entries */data.pkl; torch.save writes 1"));
}

absl::Status CheckByteOrder(const ZipArchive& archive, const std::string& root) {
  const auto found = archive.entries().find(root + "/byteorder");
  if (found == archive.entries().end()) return absl::OkStatus();  // Older: always little.
  const uint64_t size = std::min<uint64_t>(found->second.size, 16);
  HMAR_ASSIGN_OR_RETURN(const auto bytes, archive.Read(found->second, 0, size));
  const std::string order(bytes.begin(), bytes.end());
  if (order == "little") return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("has byte order ", QuotedName(order), "; wanted \"little\""));
}

absl::StatusOr<Tensors> ReadPickle(const ZipArchive& archive, const std::string& root) {
  const ZipEntry& entry = archive.entries().at(root + kPickle);
  if (entry.size > kMaxPickleBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("has a pickle of ", entry.size, " bytes; at most ", kMaxPickleBytes));
  }
  HMAR_ASSIGN_OR_RETURN(const auto pickle, archive.Read(entry, 0, entry.size));
  return ReadStateDict(pickle);
}

// That the archive has every tensor's storage, in the length that the pickle claims.
absl::Status CheckStorages(const ZipArchive& archive, const std::string& root,
                           const Tensors& tensors) {
  for (const auto& [name, tensor] : tensors) {
    const std::string entry_name = root + "/data/" + tensor.storage_key;
    const auto entry = archive.entries().find(entry_name);
    const std::string what =
        absl::StrCat("tensor ", QuotedName(name), " lies in zip entry ", QuotedName(entry_name));
    if (entry == archive.entries().end()) {
      return absl::InvalidArgumentError(absl::StrCat(what, ", which is missing"));
    }
    const uint64_t wanted =
        static_cast<uint64_t>(tensor.storage_elements) * DTypeSize(tensor.info.dtype);
    if (entry->second.size != wanted) {
      return absl::InvalidArgumentError(
          absl::StrCat(what, " of ", entry->second.size, " bytes; its storage takes ", wanted));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckMagic(absl::Span<const uint8_t> bytes) {
  const std::string start(bytes.begin(), bytes.begin() + std::min<size_t>(bytes.size(), 2));
  if (start == "PK") return absl::OkStatus();
  if (start == "\x80\x02") {
    return absl::InvalidArgumentError(
        "is a PyTorch file of the format before 1.6; load it in Python and torch.save it again");
  }
  return absl::InvalidArgumentError("is not a zip archive, as torch.save writes");
}

absl::StatusOr<std::unique_ptr<Checkpoint>> Open(const std::string& path,
                                                 std::unique_ptr<MappedFile> file) {
  HMAR_RETURN_IF_ERROR(CheckMagic(file->bytes()));
  HMAR_ASSIGN_OR_RETURN(auto archive, ZipArchive::Open(file->bytes()));
  HMAR_ASSIGN_OR_RETURN(std::string root, FindRoot(*archive));
  HMAR_RETURN_IF_ERROR(CheckByteOrder(*archive, root));
  HMAR_ASSIGN_OR_RETURN(Tensors tensors, ReadPickle(*archive, root));
  HMAR_RETURN_IF_ERROR(CheckStorages(*archive, root, tensors));
  return std::make_unique<PthFile>(path, std::move(file), std::move(archive), std::move(root),
                                   std::move(tensors));
}

}  // namespace

absl::StatusOr<std::unique_ptr<Checkpoint>> OpenPth(const std::string& path) {
  HMAR_ASSIGN_OR_RETURN(std::unique_ptr<MappedFile> file, MappedFile::Open(path));
  auto checkpoint = Open(path, std::move(file));
  if (!checkpoint.ok()) return Annotated(path + ": ", checkpoint.status());
  return checkpoint;
}

}  // namespace hmar
