#ifndef HMAR_MODEL_ZIP_ARCHIVE_H_
#define HMAR_MODEL_ZIP_ARCHIVE_H_

// Internal to model/: a zip file's entries, with their sizes checked before anything is unpacked.

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
  uint64_t size = 0;  // Bytes, unpacked.
};

// Safe from any thread.
class ZipArchive {
 public:
  // Opens an archive in memory. `bytes` must outlive it. INVALID_ARGUMENT, without the file's name,
  // if it is not a zip archive of plain or deflated entries, or if an entry claims more than its
  // packed bytes can hold.
  static absl::StatusOr<std::unique_ptr<ZipArchive>> Open(absl::Span<const uint8_t> bytes);

  ~ZipArchive();

  const std::map<std::string, ZipEntry>& entries() const { return entries_; }

  // Bytes [begin, begin + size) of an entry. Checks the entry's CRC where the range reaches its
  // end. REQUIRES: the range lies in the entry. DATA_LOSS if it cannot be unpacked.
  absl::StatusOr<std::vector<uint8_t>> Read(const ZipEntry& entry, uint64_t begin,
                                            uint64_t size) const;

 private:
  explicit ZipArchive(zip* archive) : archive_(archive) {}

  absl::Status ListEntries(uint64_t archive_bytes);

  mutable absl::Mutex mutex_;
  zip* const archive_ ABSL_PT_GUARDED_BY(mutex_);
  std::map<std::string, ZipEntry> entries_;  // Constant after Open.
};

}  // namespace hmar

#endif  // HMAR_MODEL_ZIP_ARCHIVE_H_
