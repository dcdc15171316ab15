#ifndef HMAR_CLIENT_API_KEY_H_
#define HMAR_CLIENT_API_KEY_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "grpcpp/client_context.h"

namespace hmar {

// A client's key, as it was given.
struct ApiKeyOptions {
  std::string key;   // Empty: none.
  std::string file;  // To read it from, instead; empty: none.
};

// The key to show to the server; "": none. INVALID_ARGUMENT: the file cannot be read, or what is
// there is no key: 1 to 256 printable characters without a space. No message quotes any of it.
absl::StatusOr<std::string> ReadApiKey(const ApiKeyOptions& options);

// Has the call show the key; "": none.
void AddKey(const std::string& key, grpc::ClientContext& context);

// A key that nobody has: "hmar_" and 256 random bits in base64url. INTERNAL: the system has no
// random numbers.
absl::StatusOr<std::string> NewApiKey();

// SHA-256 of a key in lower-case hex: what the server's keys file has of it.
std::string ApiKeyHash(const std::string& key);

}  // namespace hmar

#endif  // HMAR_CLIENT_API_KEY_H_
