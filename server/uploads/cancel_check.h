#ifndef HMAR_SERVER_UPLOADS_CANCEL_CHECK_H_
#define HMAR_SERVER_UPLOADS_CANCEL_CHECK_H_

#include "absl/functional/function_ref.h"

namespace hmar {

// Asked every few milliseconds by what takes longer: true if nobody wants the result any more. It
// must be fast, and must not throw, block or jump: C code is on the stack.
using CancelCheck = absl::FunctionRef<bool()>;

inline bool NeverCancelled() { return false; }

}  // namespace hmar

#endif  // HMAR_SERVER_UPLOADS_CANCEL_CHECK_H_
