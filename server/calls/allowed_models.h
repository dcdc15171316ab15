#ifndef HMAR_SERVER_CALLS_ALLOWED_MODELS_H_
#define HMAR_SERVER_CALLS_ALLOWED_MODELS_H_

#include <cstddef>
#include <string>

#include "absl/status/statusor.h"
#include "server/keys/key_ring.h"
#include "server/wire/model_catalog.h"

namespace hmar {

// Index of the model that `name` (empty: the server's default) means to whoever holds `key` (null:
// to anybody). NOT_FOUND: there is none, with the names of those that the key is for.
// PERMISSION_DENIED, MODEL_NOT_ALLOWED: the key is not for it.
absl::StatusOr<size_t> AllowedModel(const ModelCatalog& catalog, const KeyHolder* key,
                                    const std::string& name);

// Whether the key (null: none is needed) is for this model.
bool MayUse(const KeyHolder* key, const std::string& model);

}  // namespace hmar

#endif  // HMAR_SERVER_CALLS_ALLOWED_MODELS_H_
