#include "server/transport/tls_context.h"

#include <openssl/err.h>

#include <fstream>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/base/file_signature.h"

namespace hmar {
namespace {

constexpr unsigned char kSessionsOf[] = {'h', 'm', 'a', 'r'};
constexpr absl::Duration kBetweenLooks = absl::Seconds(1);

absl::Status CannotUse(const char* flag, const std::string& file) {
  const bool readable = std::ifstream(file).good();
  const char* const reason = ERR_reason_error_string(ERR_peek_last_error());
  ERR_clear_error();
  const char* const why = !readable           ? "it cannot be read"
                          : reason != nullptr ? reason
                                              : "it is not what it should be";
  return absl::InvalidArgumentError(absl::StrCat(flag, " ", file, ": ", why));
}

absl::Status RequireClientsOf(const std::string& authority, SSL_CTX* context) {
  STACK_OF(X509_NAME)* const names = SSL_load_client_CA_file(authority.c_str());
  if (names == nullptr || SSL_CTX_load_verify_file(context, authority.c_str()) != 1) {
    sk_X509_NAME_pop_free(names, X509_NAME_free);
    return CannotUse("--tls-client-ca", authority);
  }
  SSL_CTX_set_client_CA_list(context, names);
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<TlsContext> MakeTlsContext(const TlsFiles& files) {
  TlsContext context(SSL_CTX_new(TLS_server_method()), &SSL_CTX_free);
  if (context == nullptr) return absl::InternalError("OpenSSL cannot start");
  SSL_CTX_set_min_proto_version(context.get(), TLS1_2_VERSION);
  // A client's renegotiation and compression are work that it may ask for without end.
  SSL_CTX_set_options(context.get(), SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
  SSL_CTX_set_mode(context.get(), SSL_MODE_ENABLE_PARTIAL_WRITE |
                                      SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                      SSL_MODE_RELEASE_BUFFERS);
  // Resumed sessions are the clients' to keep, in tickets.
  SSL_CTX_set_session_cache_mode(context.get(), SSL_SESS_CACHE_OFF);
  SSL_CTX_set_session_id_context(context.get(), kSessionsOf, sizeof(kSessionsOf));
  if (SSL_CTX_use_certificate_chain_file(context.get(), files.certificate.c_str()) != 1) {
    return CannotUse("--tls-cert", files.certificate);
  }
  // Encrypted keys would ask for a password on the terminal.
  SSL_CTX_set_default_passwd_cb(context.get(), [](char*, int, int, void*) { return -1; });
  // Also finds a key that is not the certificate's.
  if (SSL_CTX_use_PrivateKey_file(context.get(), files.key.c_str(), SSL_FILETYPE_PEM) != 1) {
    return CannotUse("--tls-key", files.key);
  }
  if (files.client_ca.empty()) return context;
  if (absl::Status status = RequireClientsOf(files.client_ca, context.get()); !status.ok()) {
    return status;
  }
  return context;
}

RenewedTlsContext::RenewedTlsContext(TlsFiles files, TlsContext context, const Clock* clock)
    : files_(std::move(files)),
      clock_(*clock),
      context_(std::move(context)),
      looked_at_(clock_.Now()) {}

TlsContext RenewedTlsContext::Get() {
  const absl::Time now = clock_.Now();
  if (now < looked_at_ + kBetweenLooks) return context_;
  looked_at_ = now;
  std::string stamp = Stamp();
  if (stamp == stamp_) return context_;
  // What does not fit is looked at again: the other file of a pair may be on its way.
  if (absl::StatusOr<TlsContext> renewed = MakeTlsContext(files_); renewed.ok()) {
    context_ = *std::move(renewed);
    stamp_ = std::move(stamp);
  }
  return context_;
}

std::string RenewedTlsContext::Stamp() const {
  return absl::StrCat(SignatureOf(files_.certificate), ";", SignatureOf(files_.key), ";",
                      SignatureOf(files_.client_ca));
}

}  // namespace hmar
