#ifndef HMAR_SERVER_HTTP_JSON_READER_H_
#define HMAR_SERVER_HTTP_JSON_READER_H_

#include <cstddef>
#include <nlohmann/json.hpp>
#include <optional>

#include "absl/strings/string_view.h"
#include "server/http/request_head.h"

namespace hmar {

// Values and keys of a request, all together and on every level: a prefix or a mask schedule of
// 256 x 256 tokens has 100,000.
inline constexpr size_t kMaxJsonItems = size_t{1} << 18;
inline constexpr size_t kMaxJsonDepth = 8;

// Parses a body that must be one JSON object. A number of two bytes takes sixteen in a tree, so the
// text is walked first, which keeps nothing: more items or levels than any request has use for, and
// keys that come twice, are faults (400) before there is a tree. Takes O(text) time; pure.
std::optional<HttpFault> ReadJson(absl::string_view text, nlohmann::json* object);

}  // namespace hmar

#endif  // HMAR_SERVER_HTTP_JSON_READER_H_
