#include "client/files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <system_error>
#include <vector>

#include "absl/strings/str_cat.h"

namespace hmar {
namespace {

// Names of hidden files that are taken already were left by processes of the same number.
constexpr int kMaxTries = 1000;

// An errno, or 0.
using Error = int;

std::string ReasonOf(Error error) { return std::generic_category().message(error); }

absl::Status TooLarge(const std::string& path, const std::string& bytes, uint64_t max_bytes) {
  return absl::InvalidArgumentError(
      absl::StrCat("'", path, "' has ", bytes, " bytes; at most ", max_bytes));
}

// Writes all and closes, whatever happens: some file systems tell only then that there was no room.
Error WriteAndClose(int fd, absl::string_view bytes) {
  Error error = 0;
  while (error == 0 && !bytes.empty()) {
    const ssize_t written = write(fd, bytes.data(), bytes.size());
    if (written >= 0) {
      bytes.remove_prefix(static_cast<size_t>(written));
    } else if (errno != EINTR) {
      error = errno;
    }
  }
  if (close(fd) != 0 && error == 0) error = errno;
  return error;
}

Error WriteInPlace(const std::string& path, absl::string_view bytes) {
  const int fd = open(path.c_str(), O_WRONLY | O_CLOEXEC);
  return fd < 0 ? errno : WriteAndClose(fd, bytes);
}

// A new file in this folder, open for writing; its path in `path`. -1 with errno.
int OpenHidden(const std::filesystem::path& folder, std::string& path) {
  for (int i = 0; i < kMaxTries; ++i) {
    path = folder / absl::StrCat(".hmar-", getpid(), "-", i);
    const int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd >= 0 || errno != EEXIST) return fd;
  }
  return -1;
}

// `old` is what stands at the path now, or null.
Error Replace(const std::filesystem::path& path, const struct stat* old, absl::string_view bytes) {
  std::string hidden;
  const int fd = OpenHidden(path.parent_path(), hidden);
  if (fd < 0) return errno;
  // Of what another user owns, the permissions cannot always be had; the file can.
  if (old != nullptr && fchmod(fd, old->st_mode & 0777) != 0) errno = 0;
  Error error = WriteAndClose(fd, bytes);
  if (error == 0 && std::rename(hidden.c_str(), path.c_str()) != 0) error = errno;
  if (error != 0) unlink(hidden.c_str());
  return error;
}

Error Write(const std::string& path, absl::string_view bytes) {
  struct stat old;
  const bool exists = stat(path.c_str(), &old) == 0;
  if (exists && S_ISDIR(old.st_mode)) return EISDIR;
  if (exists && !S_ISREG(old.st_mode)) return WriteInPlace(path, bytes);
  std::error_code error;
  const std::filesystem::path behind_links = std::filesystem::weakly_canonical(path, error);
  return error ? error.value() : Replace(behind_links, exists ? &old : nullptr, bytes);
}

}  // namespace

absl::StatusOr<std::string> ReadFile(const std::string& path, uint64_t max_bytes) {
  std::error_code no_size;  // Of what is no plain file: a pipe, say.
  const uint64_t size = std::filesystem::file_size(path, no_size);
  if (!no_size && size > max_bytes) return TooLarge(path, absl::StrCat(size), max_bytes);
  errno = 0;
  std::ifstream file(path, std::ios::binary);
  std::string bytes;
  std::vector<char> chunk(1 << 16);
  do {
    file.read(chunk.data(), static_cast<std::streamsize>(chunk.size()));
    bytes.append(chunk.data(), file.gcount());
    if (bytes.size() > max_bytes) {
      return TooLarge(path, absl::StrCat("more than ", max_bytes), max_bytes);
    }
  } while (file);
  if (file.is_open() && !file.bad()) return bytes;
  return absl::NotFoundError(absl::StrCat("cannot read '", path, "': ", ReasonOf(errno)));
}

absl::Status WriteFile(const std::string& path, absl::string_view bytes) {
  const Error error = Write(path, bytes);
  if (error == 0) return absl::OkStatus();
  return absl::UnknownError(absl::StrCat("cannot write '", path, "': ", ReasonOf(error)));
}

}  // namespace hmar
