#ifndef HMAR_CLIENT_TLS_FLAGS_H_
#define HMAR_CLIENT_TLS_FLAGS_H_

#include <CLI/CLI.hpp>

#include "client/api_key.h"
#include "client/tls_options.h"

namespace hmar {

// --tls, --ca, --cert and --key of a command line, each with its environment variable.
void AddTlsOptions(CLI::App& app, TlsOptions& tls);

// --api-key and --api-key-file, likewise.
void AddApiKeyOptions(CLI::App& app, ApiKeyOptions& key);

}  // namespace hmar

#endif  // HMAR_CLIENT_TLS_FLAGS_H_
