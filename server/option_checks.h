#ifndef HMAR_SERVER_OPTION_CHECKS_H_
#define HMAR_SERVER_OPTION_CHECKS_H_

// Options that are each within their range, held against each other and against the models: what no
// request could ever use is an error at the start. INVALID_ARGUMENT names both flags and their
// values. Pure functions.

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "model/engine.h"
#include "server/options.h"

namespace hmar {

// The names of the models that will be served, the default's first. An error: two have one name.
absl::StatusOr<std::vector<std::string>> ModelNames(const ServerOptions& options);

// Names of models are told apart, settings name models that there are, every device computes in
// every model's precision, and limits leave room for what other limits allow.
absl::Status CheckOptions(const ServerOptions& options);

// The largest picture of every model fits a reply and a stream's buffer.
absl::Status CheckBuffers(const ServerOptions& options, absl::Span<const EngineInfo> models);

}  // namespace hmar

#endif  // HMAR_SERVER_OPTION_CHECKS_H_
