#ifndef HMAR_MODEL_ZIP_ARCHIVE_H_
#define HMAR_MODEL_ZIP_ARCHIVE_H_

// Internal to model/: a zip file's entries, as torch.save writes them: without compression.

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/types/span.h"

struct zip;

namespace hmar {

struct ZipEntry {
  uint64_t index = 0;
  uint64_t size = 0;  // Bytes.
};

// Safe from any thread.
class ZipArchive {
 public:
  // Opens an archive in memory. `bytes` must outlive it. INVALID_ARGUMENT, without the file's name,
  // if it is not a zip archive, or if an entry is compressed, encrypted, there twice, or claims
  // more bytes than the archive has. Entries are plain bytes, so that no read costs more than the
  // archive is long.
  static absl::StatusOr<std::unique_ptr<ZipArchive>> Open(absl::Span<const uint8_t> bytes);

  ~ZipArchive();

  const std::map<std::string, ZipEntry>& entries() const { return entries_; }

  // Bytes [begin, begin + size) of an entry. The first read of an entry goes through all of it, to
  // check its CRC; later ones touch their range alone. REQUIRES: the range lies in the entry.
  // DATA_LOSS if the entry is damaged, wherever, or cannot be read.
  absl::StatusOr<std::vector<uint8_t>> Read(const ZipEntry& entry, uint64_t begin,
                                            uint64_t size) const;

 private:
  explicit ZipArchive(zip* archive) : archive_(archive) {}

  absl::Status ListEntries(uint64_t archive_bytes);

  mutable absl::Mutex mutex_;
  zip* const archive_ ABSL_PT_GUARDED_BY(mutex_);
  mutable std::vector<bool> sound_ ABSL_GUARDED_BY(mutex_);  // By index: the CRC was right.
  std::map<std::string, ZipEntry> entries_;                  // Constant after Open.
};

}  // namespace hmar

#endif  // HMAR_MODEL_ZIP_ARCHIVE_H_
