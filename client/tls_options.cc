#include "client/tls_options.h"

#include <fstream>
#include <iterator>

#include "absl/strings/str_cat.h"
#include "model/status_macros.h"

namespace hmar {
namespace {

absl::StatusOr<std::string> ReadPem(const char* what, const std::string& path) {
  if (path.empty()) return "";
  std::ifstream file(path, std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  if (!file.bad() && !text.empty()) return text;
  return absl::InvalidArgumentError(absl::StrCat(what, " ", path, " cannot be read, or is empty"));
}

}  // namespace

absl::StatusOr<std::shared_ptr<grpc::ChannelCredentials>> MakeCredentials(
    const TlsOptions& options) {
  if (!options.secure() && options.key.empty()) return grpc::InsecureChannelCredentials();
  if (options.cert.empty() != options.key.empty()) {
    return absl::InvalidArgumentError("--cert and --key go together");
  }
  grpc::SslCredentialsOptions files;
  HMAR_ASSIGN_OR_RETURN(files.pem_root_certs, ReadPem("--ca", options.ca));
  HMAR_ASSIGN_OR_RETURN(files.pem_cert_chain, ReadPem("--cert", options.cert));
  HMAR_ASSIGN_OR_RETURN(files.pem_private_key, ReadPem("--key", options.key));
  return grpc::SslCredentials(files);
}

}  // namespace hmar
