#ifndef HMAR_MODEL_DIGEST_H_
#define HMAR_MODEL_DIGEST_H_

// SHA-256 (FIPS 180-4) as lower-case hex, as sha256sum prints it. Safe from any thread.

#include <string>

#include "absl/status/statusor.h"

namespace hmar {

std::string Sha256OfText(const std::string& text);

// Reads the file from end to end, without mapping it: the pages of a large checkpoint are not kept.
// NOT_FOUND, or as the system says.
absl::StatusOr<std::string> Sha256OfFile(const std::string& path);

}  // namespace hmar

#endif  // HMAR_MODEL_DIGEST_H_
