#ifndef HMAR_CLIENT_TLS_OPTIONS_H_
#define HMAR_CLIENT_TLS_OPTIONS_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "grpcpp/security/credentials.h"

namespace hmar {

// How a client connects. Files are in PEM.
struct TlsOptions {
  bool tls = false;
  std::string ca;    // Who may vouch for the server. Empty: whom the system trusts.
  std::string cert;  // This client's, and
  std::string key;   // its key; both or neither.

  // With TLS: because it is asked for, or because there are certificates for it.
  bool secure() const { return tls || !ca.empty() || !cert.empty(); }
};

// INVALID_ARGUMENT: a file cannot be read, or of certificate and key one is missing.
absl::StatusOr<std::shared_ptr<grpc::ChannelCredentials>> MakeCredentials(
    const TlsOptions& options);

}  // namespace hmar

#endif  // HMAR_CLIENT_TLS_OPTIONS_H_
