#ifndef HMAR_CLIENT_TOKEN_LISTS_H_
#define HMAR_CLIENT_TOKEN_LISTS_H_

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <vector>

#include "absl/status/statusor.h"

namespace hmar {

// [[1],[1,3]] as numbers. The library's own conversion would take -1, 1.5 and 2^32 for other
// numbers; here each is an error, INVALID_ARGUMENT, that says where it stands.
absl::StatusOr<std::vector<std::vector<uint32_t>>> TokenLists(const nlohmann::json& json);

}  // namespace hmar

#endif  // HMAR_CLIENT_TOKEN_LISTS_H_
