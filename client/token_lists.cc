#include "client/token_lists.h"

#include <limits>
#include <nlohmann/json.hpp>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace hmar {
namespace {

bool IsUint32(const nlohmann::json& json) {
  return json.is_number_unsigned() && json.get<uint64_t>() <= std::numeric_limits<uint32_t>::max();
}

}  // namespace

absl::StatusOr<std::vector<std::vector<uint32_t>>> TokenLists(const nlohmann::json& json) {
  if (!json.is_array()) return absl::InvalidArgumentError("no list of lists");
  std::vector<std::vector<uint32_t>> lists;
  for (const nlohmann::json& list : json) {
    if (!list.is_array()) {
      return absl::InvalidArgumentError(absl::StrCat("[", lists.size(), "] is no list"));
    }
    std::vector<uint32_t>& tokens = lists.emplace_back();
    for (const nlohmann::json& token : list) {
      if (!IsUint32(token)) {
        return absl::InvalidArgumentError(absl::StrCat("[", lists.size() - 1, "][", tokens.size(),
                                                       "] is no whole number in [0, 2^32)"));
      }
      tokens.push_back(token.get<uint32_t>());
    }
  }
  return lists;
}

}  // namespace hmar
