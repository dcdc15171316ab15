#ifndef HMAR_CLIENT_FILES_H_
#define HMAR_CLIENT_FILES_H_

// Whole files in and out. All functions are thread-safe.

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace hmar {

// The whole file, or pipe. NOT_FOUND: it cannot be read; INVALID_ARGUMENT: it is larger than
// `max_bytes`, told without reading more than that. The message names the file and the reason, or
// its size and the limit.
absl::StatusOr<std::string> ReadFile(const std::string& path,
                                     uint64_t max_bytes = uint64_t{1} << 30);

// Makes or replaces the file, all or nothing: the bytes go to a hidden file beside it, which then
// takes its name (and its permissions; where the path is a link, those of the file behind it). So a
// full disk or a killed process leaves what was there; a killed one may leave the hidden file,
// .hmar-PID-N. What is no plain file, a pipe or a device, is written as it is. UNKNOWN: it cannot
// be written; the message names it and the system's reason.
absl::Status WriteFile(const std::string& path, absl::string_view bytes);

}  // namespace hmar

#endif  // HMAR_CLIENT_FILES_H_
