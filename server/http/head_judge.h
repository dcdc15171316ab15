#ifndef HMAR_SERVER_HTTP_HEAD_JUDGE_H_
#define HMAR_SERVER_HTTP_HEAD_JUDGE_H_

#include <functional>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "server/base/quota.h"
#include "server/http/connection.h"
#include "server/http/http_context.h"
#include "server/http/routes.h"

namespace hmar {

// Rules on a request by its head alone, in this order: is there such a path and method; may a page
// of that origin ask; who calls, and may they; is there room for the call, and for its body. Then
// only is a byte of the body read. Thread-compatible.
class HeadJudge final : public Judge {
 public:
  // All outlive it. `is_full`: as many calls wait for a worker as may, of this client or of all.
  HeadJudge(const HttpOptions& options, const HttpContext* context,
            std::function<bool(const std::string& client)> is_full);

  Ruling Rule(const Connection& connection) override;

  // Bytes of bodies that are held now.
  size_t body_bytes() const { return bodies_.held(); }

 private:
  std::optional<HttpFault> CheckOrigin(const RequestHead& head) const;
  void RuleOnBody(const RequestHead& head, Route route, Ruling* ruling);

  const HttpOptions options_;
  const HttpContext& context_;
  const std::function<bool(const std::string& client)> is_full_;
  Quota bodies_;
};

// Whether a page of `origin` may read answers: `allowed` is "*", an origin, or "" for none.
bool OriginAllowed(absl::string_view origin, absl::string_view allowed);

}  // namespace hmar

#endif  // HMAR_SERVER_HTTP_HEAD_JUDGE_H_
