#ifndef HMAR_MODEL_DIGEST_H_
#define HMAR_MODEL_DIGEST_H_

// SHA-256 (FIPS 180-4) as lower-case hex, as sha256sum prints it. Safe from any thread.

#include <string>

#include "absl/status/statusor.h"
#include "model/mapped_file.h"

namespace hmar {

std::string Sha256OfText(const std::string& text);

// Of as many bytes as the file had when it was opened. Reads them past the mapping, so that the
// pages of a large checkpoint are not kept. DATA_LOSS if it has become shorter, or as the system
// says.
absl::StatusOr<std::string> Sha256OfFile(const MappedFile& file);

}  // namespace hmar

#endif  // HMAR_MODEL_DIGEST_H_
