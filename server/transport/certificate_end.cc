#include "server/transport/certificate_end.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <algorithm>
#include <ctime>
#include <memory>

#include "absl/strings/str_cat.h"

namespace hmar {
namespace {

// The dates of certificates are UTC's.
absl::Time EndOf(const X509& certificate) {
  std::tm fields = {};
  if (ASN1_TIME_to_tm(X509_get0_notAfter(&certificate), &fields) != 1) return absl::InfinitePast();
  return absl::FromTM(fields, absl::UTCTimeZone());
}

}  // namespace

absl::StatusOr<absl::Time> CertificateEnd(const std::string& file) {
  const std::unique_ptr<BIO, decltype(&BIO_free_all)> source(BIO_new_file(file.c_str(), "r"),
                                                             &BIO_free_all);
  absl::Time first = absl::InfiniteFuture();
  while (source != nullptr) {
    const std::unique_ptr<X509, decltype(&X509_free)> certificate(
        PEM_read_bio_X509(source.get(), nullptr, nullptr, nullptr), &X509_free);
    if (certificate == nullptr) break;
    first = std::min(first, EndOf(*certificate));
  }
  ERR_clear_error();  // The end of the file is one.
  if (first == absl::InfiniteFuture()) {
    return absl::InvalidArgumentError(absl::StrCat(file, ": there is no certificate in it"));
  }
  return first;
}

}  // namespace hmar
