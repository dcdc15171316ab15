#include "server/wire/model_catalog.h"

#include <utility>

namespace hmar {

ModelCatalog::ModelCatalog(std::vector<EngineInfo> models, std::vector<std::string> devices)
    : models_(std::move(models)), devices_(std::move(devices)) {
  for (size_t i = 0; i < models_.size(); ++i) {
    by_name_.emplace(models_[i].config.name, i);
    classes_.emplace_back(models_[i].config);
  }
}

std::vector<std::string> ModelCatalog::names() const {
  std::vector<std::string> names;
  for (const EngineInfo& model : models_) names.push_back(model.config.name);
  return names;
}

std::optional<size_t> ModelCatalog::Find(absl::string_view name) const {
  if (name.empty()) return 0;
  const auto it = by_name_.find(name);
  if (it == by_name_.end()) return std::nullopt;
  return it->second;
}

}  // namespace hmar
