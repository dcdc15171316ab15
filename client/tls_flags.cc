#include "client/tls_flags.h"

namespace hmar {

void AddTlsOptions(CLI::App& app, TlsOptions& tls) {
  app.add_flag("--tls", tls.tls, "Connect with TLS")->envname("HMAR_TLS");
  app.add_option("--ca", tls.ca, "Who may vouch for the server, a PEM file; default: the system's")
      ->envname("HMAR_CA");
  app.add_option("--cert", tls.cert, "This client's certificate, a PEM file")->envname("HMAR_CERT");
  app.add_option("--key", tls.key, "Its key, likewise")->envname("HMAR_CERT_KEY");
}

void AddApiKeyOptions(CLI::App& app, ApiKeyOptions& key) {
  app.add_option("--api-key-file", key.file, "A file that holds the key for the server")
      ->envname("HMAR_KEY_FILE");
  app.add_option("--api-key", key.key,
                 "The key itself; others on this machine can see it: rather HMAR_KEY, or the file")
      ->envname("HMAR_KEY");
}

}  // namespace hmar
