#ifndef HMAR_SERVER_BASE_EXCEPTIONS_H_
#define HMAR_SERVER_BASE_EXCEPTIONS_H_

#include <exception>
#include <new>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "server/base/errors.h"

namespace hmar {

// What the exception that is being handled comes to, for a boundary that none may pass:
// RESOURCE_EXHAUSTED (OUT_OF_MEMORY) for std::bad_alloc, otherwise INTERNAL with its text. `where`
// says what threw. REQUIRES: in a catch block.
inline absl::Status StatusOfException(absl::string_view where) {
  try {
    throw;
  } catch (const std::bad_alloc&) {
    return ErrorOf(Reason::kOutOfMemory, absl::StrCat(where, ": no memory"));
  } catch (const std::exception& error) {
    return absl::InternalError(absl::StrCat(where, ": ", error.what()));
  } catch (...) {
    return absl::InternalError(absl::StrCat(where, ": an exception of no known type"));
  }
}

}  // namespace hmar

#endif  // HMAR_SERVER_BASE_EXCEPTIONS_H_
