#ifndef HMAR_SERVER_WIRE_VIOLATIONS_H_
#define HMAR_SERVER_WIRE_VIOLATIONS_H_

#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "server/base/violation.h"
#include "server/wire/status_details.h"

namespace hmar {

// Collects the broken rules of one request. Thread-compatible.
class Violations {
 public:
  // `prefix` leads every field path.
  explicit Violations(std::string prefix) : prefix_(std::move(prefix)) {}

  void Add(Reason reason, const std::string& field, const std::string& description) {
    list_.push_back({reason, prefix_ + field, description});
  }

  template <typename Enum>
  void AddUnknownEnum(const std::string& field, Enum value) {
    Add(Reason::kUnknownEnumValue, field, absl::StrCat("unknown value ", static_cast<int>(value)));
  }

  const std::string& prefix() const { return prefix_; }

  // OK while there is none.
  absl::Status ToStatus() const { return list_.empty() ? absl::OkStatus() : InvalidRequest(list_); }

 private:
  const std::string prefix_;
  std::vector<Violation> list_;
};

}  // namespace hmar

#endif  // HMAR_SERVER_WIRE_VIOLATIONS_H_
