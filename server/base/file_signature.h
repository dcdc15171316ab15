#ifndef HMAR_SERVER_BASE_FILE_SIGNATURE_H_
#define HMAR_SERVER_BASE_FILE_SIGNATURE_H_

#include <string>

namespace hmar {

// What differs when a file, or the file behind a link, is written or replaced: take it before the
// file is read, so that what changes meanwhile is seen. "" where there is none. Thread-safe.
std::string SignatureOf(const std::string& file);

}  // namespace hmar

#endif  // HMAR_SERVER_BASE_FILE_SIGNATURE_H_
