#ifndef HMAR_SERVER_TRANSPORT_TLS_H_
#define HMAR_SERVER_TRANSPORT_TLS_H_

#include <grpcpp/security/server_credentials.h>

#include <memory>
#include <string>

#include "absl/status/status.h"

namespace hmar {

// Files in PEM.
struct TlsFiles {
  std::string certificate;  // The server's, then those between it and the root. Empty: no TLS.
  std::string key;          // Of the certificate; not encrypted.
  std::string client_ca;    // Who vouches for clients. Empty: clients need no certificate.

  bool on() const { return !certificate.empty(); }
};

// Whether they can be served as they are: all can be read, the key is the certificate's.
// INVALID_ARGUMENT, with the flag, the file and what is wrong; never anything of the key.
absl::Status CheckTlsFiles(const TlsFiles& files);

// TLS 1.2 or newer, or none at all. The files are read again every second and serve the connections
// that come from then on. Files that do not fit together, or are none, serve no new connection
// until they are mended (gRPC 1.51 does not go back to the old ones).
std::shared_ptr<grpc::ServerCredentials> MakeServerCredentials(const TlsFiles& files);

}  // namespace hmar

#endif  // HMAR_SERVER_TRANSPORT_TLS_H_
