#include "model/zip_archive.h"

#include <zip.h>

#include <algorithm>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "model/checkpoint.h"
#include "model/status_macros.h"

namespace hmar {
namespace {

std::string ErrorText(zip_error_t* error) {
  std::string text = zip_error_strerror(error);
  zip_error_fini(error);
  return text;
}

// Reads exactly `size` bytes, or says why not.
absl::Status ReadExactly(zip_file_t* file, uint8_t* out, uint64_t size) {
  while (size > 0) {
    const zip_int64_t got = zip_fread(file, out, size);
    if (got < 0) return absl::DataLossError(zip_file_strerror(file));
    if (got == 0) return absl::DataLossError("ends early");
    out += got;
    size -= static_cast<uint64_t>(got);
  }
  return absl::OkStatus();
}

absl::Status Skip(zip_file_t* file, uint64_t size) {
  std::vector<uint8_t> scratch(std::min<uint64_t>(size, 1 << 16));
  while (size > 0) {
    const uint64_t part = std::min<uint64_t>(size, scratch.size());
    HMAR_RETURN_IF_ERROR(ReadExactly(file, scratch.data(), part));
    size -= part;
  }
  return absl::OkStatus();
}

// That nothing follows. libzip compares the CRC when it meets the end.
absl::Status ExpectEnd(zip_file_t* file) {
  uint8_t beyond = 0;
  const zip_int64_t got = zip_fread(file, &beyond, 1);
  if (got < 0) return absl::DataLossError(zip_file_strerror(file));
  if (got > 0) return absl::DataLossError("is longer than it claims");
  return absl::OkStatus();
}

// What is wrong with an entry in itself; empty: nothing.
std::string WrongEntry(const zip_stat_t& stat, uint64_t archive_bytes) {
  if (stat.comp_method != ZIP_CM_STORE) {
    return absl::StrCat("is compressed (method ", stat.comp_method,
                        "), as torch.save writes none; load it in Python and torch.save it again");
  }
  if (stat.encryption_method != ZIP_EM_NONE) return "is encrypted";
  if (stat.comp_size > archive_bytes || stat.size != stat.comp_size) {
    return absl::StrCat("claims ", stat.size, " bytes out of ", stat.comp_size, " in a file of ",
                        archive_bytes);
  }
  return "";
}

}  // namespace

absl::StatusOr<std::unique_ptr<ZipArchive>> ZipArchive::Open(absl::Span<const uint8_t> bytes) {
  zip_error_t error;
  zip_error_init(&error);
  zip_source_t* const source =
      zip_source_buffer_create(bytes.data(), bytes.size(), /*freep=*/0, &error);
  zip_t* const opened =
      source == nullptr ? nullptr : zip_open_from_source(source, ZIP_RDONLY, &error);
  if (opened == nullptr) {
    if (source != nullptr) zip_source_free(source);
    return absl::InvalidArgumentError(
        absl::StrCat("is not a readable zip archive: ", ErrorText(&error)));
  }
  auto archive = std::unique_ptr<ZipArchive>(new ZipArchive(opened));
  HMAR_RETURN_IF_ERROR(archive->ListEntries(bytes.size()));
  return archive;
}

ZipArchive::~ZipArchive() {
  absl::MutexLock lock(&mutex_);
  zip_discard(archive_);
}

absl::Status ZipArchive::ListEntries(uint64_t archive_bytes) {
  absl::MutexLock lock(&mutex_);
  const zip_int64_t count = zip_get_num_entries(archive_, 0);
  for (zip_int64_t i = 0; i < count; ++i) {
    zip_stat_t stat;
    zip_stat_init(&stat);
    constexpr zip_uint64_t kNeeded = ZIP_STAT_NAME | ZIP_STAT_SIZE | ZIP_STAT_COMP_SIZE |
                                     ZIP_STAT_COMP_METHOD | ZIP_STAT_CRC |
                                     ZIP_STAT_ENCRYPTION_METHOD;
    if (zip_stat_index(archive_, i, 0, &stat) != 0 || (stat.valid & kNeeded) != kNeeded) {
      return absl::InvalidArgumentError(absl::StrCat("zip entry ", i, " cannot be read"));
    }
    std::string wrong = WrongEntry(stat, archive_bytes);
    const ZipEntry entry = {static_cast<uint64_t>(i), stat.size};
    if (wrong.empty() && !entries_.emplace(stat.name, entry).second) wrong = "is there twice";
    if (!wrong.empty()) {
      return absl::InvalidArgumentError(
          absl::StrCat("zip entry ", QuotedName(stat.name), " ", wrong));
    }
  }
  sound_.resize(static_cast<size_t>(count));
  return absl::OkStatus();
}

absl::StatusOr<std::vector<uint8_t>> ZipArchive::Read(const ZipEntry& entry, uint64_t begin,
                                                      uint64_t size) const {
  absl::MutexLock lock(&mutex_);
  zip_file_t* const file = zip_fopen_index(archive_, entry.index, 0);
  if (file == nullptr) return absl::DataLossError(zip_strerror(archive_));
  const absl::Cleanup close_file = [file] { zip_fclose(file); };
  std::vector<uint8_t> bytes(size);
  if (sound_[entry.index]) {
    if (zip_fseek(file, static_cast<zip_int64_t>(begin), SEEK_SET) != 0) {
      return absl::DataLossError(zip_file_strerror(file));
    }
    HMAR_RETURN_IF_ERROR(ReadExactly(file, bytes.data(), size));
    return bytes;
  }
  HMAR_RETURN_IF_ERROR(Skip(file, begin));
  HMAR_RETURN_IF_ERROR(ReadExactly(file, bytes.data(), size));
  HMAR_RETURN_IF_ERROR(Skip(file, entry.size - begin - size));
  HMAR_RETURN_IF_ERROR(ExpectEnd(file));
  sound_[entry.index] = true;
  return bytes;
}

}  // namespace hmar
