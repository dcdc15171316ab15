#ifndef HMAR_SERVER_TRANSPORT_TLS_CONTEXT_H_
#define HMAR_SERVER_TRANSPORT_TLS_CONTEXT_H_

#include <openssl/ssl.h>

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/base/clock.h"
#include "server/transport/tls.h"

namespace hmar {

// OpenSSL's side of TLS for a server. References are counted, so that a connection keeps what it
// was begun with.
using TlsContext = std::shared_ptr<SSL_CTX>;

// TLS 1.2 or newer with these files; with a client_ca clients must have a certificate of it.
// INVALID_ARGUMENT, with the flag, the file and what is wrong; never anything of the key.
// REQUIRES: files.on().
absl::StatusOr<TlsContext> MakeTlsContext(const TlsFiles& files);

// Such a context whose files may be renewed: it looks at them at most once a second. Files that do
// not fit together leave the old ones in use. Thread-compatible.
class RenewedTlsContext {
 public:
  // `clock` outlives it.
  RenewedTlsContext(TlsFiles files, TlsContext context, const Clock* clock);

  // For the connections that come now.
  TlsContext Get();

 private:
  // Changes with the files.
  std::string Stamp() const;

  const TlsFiles files_;
  const Clock& clock_;
  TlsContext context_;
  std::string stamp_;  // Of what is in use; "": not known, as `context` was made before.
  absl::Time looked_at_;
};

}  // namespace hmar

#endif  // HMAR_SERVER_TRANSPORT_TLS_CONTEXT_H_
