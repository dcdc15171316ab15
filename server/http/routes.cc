#include "server/http/routes.h"

#include <algorithm>
#include <array>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "server/http/page_files.h"

namespace hmar {
namespace {

constexpr char kReads[] = "GET, HEAD, OPTIONS";
constexpr char kCalls[] = "POST, OPTIONS";

constexpr std::array kRoutes = {
    RouteRow{Route::kGenerations, "/v1/images/generations", kCalls, true},
    RouteRow{Route::kEdits, "/v1/images/edits", kCalls, true},
    RouteRow{Route::kModels, "/v1/models", kReads, true},
    RouteRow{Route::kModel, kModelPath, kReads, true},
    RouteRow{Route::kHealth, "/healthz", kReads, false},
    RouteRow{Route::kReady, "/readyz", kReads, false},
    RouteRow{Route::kPage, "/", kReads, false},
};
constexpr const RouteRow& kPageRow = kRoutes.back();

// Longer names have no model; cpp-httplib matches paths with std::regex, whose stack grows with
// them.
constexpr size_t kMaxNameBytes = 128;

bool IsModelName(absl::string_view name) {
  return !name.empty() && name.size() <= kMaxNameBytes &&
         std::all_of(name.begin(), name.end(), [](char c) {
           return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '.' || c == '_' ||
                  c == '-';
         });
}

bool Allows(const RouteRow& row, absl::string_view method) {
  for (const absl::string_view allowed : absl::StrSplit(row.methods, ", ")) {
    if (method == allowed) return true;
  }
  return false;
}

}  // namespace

const RouteRow* RouteOf(absl::string_view path) {
  for (const RouteRow& row : kRoutes) {
    if (path == row.path && row.route != Route::kModel) return &row;
    if (row.route == Route::kModel && absl::StartsWith(path, kModelPath) &&
        IsModelName(path.substr(sizeof(kModelPath) - 1))) {
      return &row;
    }
  }
  return PageFileAt(path) == nullptr ? nullptr : &kPageRow;
}

std::optional<HttpFault> CheckRoute(const RequestHead& head, bool preflight) {
  const RouteRow* const row = RouteOf(head.path);
  if (row == nullptr) return HttpFault{404, "there is nothing at this path"};
  const bool options = head.method == "OPTIONS";
  if (!Allows(*row, head.method) || (options && !preflight)) {
    return HttpFault{405, absl::StrCat("this path takes ", row->methods)};
  }
  const absl::string_view coding = head.Header("content-encoding");
  if (!coding.empty() && !absl::EqualsIgnoreCase(coding, "identity")) {
    return HttpFault{415, "compressed requests are not read"};
  }
  const bool body = head.chunked || head.content_length.value_or(0) > 0;
  if (head.method != "POST" && body) return HttpFault{413, "this request takes no body"};
  if (head.method == "POST" && !head.chunked && !head.content_length.has_value()) {
    return HttpFault{411, "the body needs a content-length, or to be chunked"};
  }
  return std::nullopt;
}

}  // namespace hmar
