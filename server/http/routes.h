#ifndef HMAR_SERVER_HTTP_ROUTES_H_
#define HMAR_SERVER_HTTP_ROUTES_H_

#include <optional>

#include "absl/strings/string_view.h"
#include "server/http/request_head.h"

namespace hmar {

// What this server has paths for.
enum class Route {
  kGenerations,
  kEdits,
  kModels,
  kModel,  // One of them, whose name ends the path.
  kHealth,
  kReady,
  kPage,  // And its files.
};

struct RouteRow {
  Route route;
  const char* path;     // Of kModel what comes before the name.
  const char* methods;  // As in an Allow header.
  bool api;             // Asks who calls.
};

// The row of a path; null: there is none. Pure.
const RouteRow* RouteOf(absl::string_view path);

inline constexpr char kModelPath[] = "/v1/models/";

// Why a request with this head cannot be one of ours: 404, 405, 411, 415. OPTIONS is for
// `preflight` alone. Pure.
std::optional<HttpFault> CheckRoute(const RequestHead& head, bool preflight);

}  // namespace hmar

#endif  // HMAR_SERVER_HTTP_ROUTES_H_
