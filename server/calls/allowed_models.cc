#include "server/calls/allowed_models.h"

#include <algorithm>
#include <optional>
#include <vector>

#include "model/status_macros.h"
#include "server/wire/status_details.h"

namespace hmar {

bool MayUse(const KeyHolder* key, const std::string& model) {
  return key == nullptr || key->CheckModel(model).ok();
}

absl::StatusOr<size_t> AllowedModel(const ModelCatalog& catalog, const KeyHolder* key,
                                    const std::string& name) {
  const std::optional<size_t> index = catalog.Find(name);
  if (!index.has_value()) {
    std::vector<std::string> names = catalog.names();
    names.erase(std::remove_if(names.begin(), names.end(),
                               [key](const std::string& each) { return !MayUse(key, each); }),
                names.end());
    return ModelNotFound(name, names);
  }
  if (key != nullptr) {
    HMAR_RETURN_IF_ERROR(key->CheckModel(catalog.models()[*index].config.name));
  }
  return *index;
}

}  // namespace hmar
