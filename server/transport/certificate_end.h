#ifndef HMAR_SERVER_TRANSPORT_CERTIFICATE_END_H_
#define HMAR_SERVER_TRANSPORT_CERTIFICATE_END_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace hmar {

// When the first of the certificates in a PEM file, the server's and those between it and the root,
// ends (RFC 5280, notAfter): from then on no client trusts the chain. INVALID_ARGUMENT names the
// file: it cannot be read, or holds none. Reads the file. Thread-safe.
absl::StatusOr<absl::Time> CertificateEnd(const std::string& file);

}  // namespace hmar

#endif  // HMAR_SERVER_TRANSPORT_CERTIFICATE_END_H_
