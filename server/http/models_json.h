#ifndef HMAR_SERVER_HTTP_MODELS_JSON_H_
#define HMAR_SERVER_HTTP_MODELS_JSON_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/time/time.h"
#include "server/calls/allowed_models.h"
#include "server/wire/model_catalog.h"

namespace hmar {

// Models as OpenAI lists them, each with what we know of it as `hmar`. Pure.
// `max_images`: of a request. `created`: when the server began. REQUIRES: index < models().size().
// The list is of those that `key` may use (allowed_models.h).
std::string ModelJson(const ModelCatalog& catalog, size_t index, uint32_t max_images,
                      absl::Time created);
std::string ModelsJson(const ModelCatalog& catalog, const KeyHolder* key, uint32_t max_images,
                       absl::Time created);

}  // namespace hmar

#endif  // HMAR_SERVER_HTTP_MODELS_JSON_H_
