#ifndef HMAR_SERVER_WIRE_VIOLATIONS_H_
#define HMAR_SERVER_WIRE_VIOLATIONS_H_

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "server/base/violation.h"
#include "server/wire/status_details.h"

namespace hmar {

// Collects the broken rules of one request: the first kMaxKept with their words, of the rest only
// how many there were. Thread-compatible.
class Violations {
 public:
  // More than one error can hold (status_details.h); what a request costs must not grow with what
  // is wrong in it.
  static constexpr size_t kMaxKept = 100;

  // `prefix` leads every field path.
  explicit Violations(std::string prefix) : prefix_(std::move(prefix)) {}

  void Add(Reason reason, const std::string& field, const std::string& description) {
    ++count_;
    if (list_.size() < kMaxKept) list_.push_back({reason, prefix_ + field, description});
  }

  template <typename Enum>
  void AddUnknownEnum(const std::string& field, Enum value) {
    Add(Reason::kUnknownEnumValue, field, absl::StrCat("unknown value ", static_cast<int>(value)));
  }

  const std::string& prefix() const { return prefix_; }

  // OK while there is none.
  absl::Status ToStatus() const {
    return list_.empty() ? absl::OkStatus() : InvalidRequest(list_, count_ - list_.size());
  }

 private:
  const std::string prefix_;
  std::vector<Violation> list_;
  size_t count_ = 0;  // Of all, kept or not.
};

}  // namespace hmar

#endif  // HMAR_SERVER_WIRE_VIOLATIONS_H_
