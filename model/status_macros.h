#ifndef HMAR_MODEL_STATUS_MACROS_H_
#define HMAR_MODEL_STATUS_MACROS_H_

// Debian 12's Abseil (20220623) has no status macros; these are the two we need.

#include "absl/status/status.h"
#include "absl/status/statusor.h"

// Returns from the enclosing function if `expr` (absl::Status) is an error.
#define HMAR_RETURN_IF_ERROR(expr)                              \
  do {                                                          \
    if (absl::Status hmar_status = (expr); !hmar_status.ok()) { \
      return hmar_status;                                       \
    }                                                           \
  } while (false)

// HMAR_ASSIGN_OR_RETURN(auto x, F()): x = the value of F() (absl::StatusOr), or returns its error.
#define HMAR_ASSIGN_OR_RETURN(lhs, expr) \
  HMAR_ASSIGN_OR_RETURN_IMPL_(HMAR_CONCAT_(hmar_statusor_, __LINE__), lhs, expr)
// Two of its arguments are a name and a declaration, which stand in no parentheses.
// NOLINTBEGIN(bugprone-macro-parentheses)
#define HMAR_ASSIGN_OR_RETURN_IMPL_(statusor, lhs, expr) \
  auto statusor = (expr);                                \
  if (!statusor.ok()) return statusor.status();          \
  lhs = std::move(statusor).value()
// NOLINTEND(bugprone-macro-parentheses)
#define HMAR_CONCAT_(a, b) HMAR_CONCAT_IMPL_(a, b)
#define HMAR_CONCAT_IMPL_(a, b) a##b

#endif  // HMAR_MODEL_STATUS_MACROS_H_
