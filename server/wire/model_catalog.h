#ifndef HMAR_SERVER_WIRE_MODEL_CATALOG_H_
#define HMAR_SERVER_WIRE_MODEL_CATALOG_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "model/engine.h"
#include "server/wire/class_index.h"

namespace hmar {

// The models a server holds, by the names that requests use, and the devices that hold them.
// Immutable, so safe from any thread.
class ModelCatalog {
 public:
  // The first model is the default. Every model is on every device; what `models` say of theirs is
  // one of them. REQUIRES: at least one of each; names (config.name) differ.
  ModelCatalog(std::vector<EngineInfo> models, std::vector<std::string> devices);

  absl::Span<const EngineInfo> models() const { return models_; }
  absl::Span<const std::string> devices() const { return devices_; }
  std::vector<std::string> names() const;

  // Index of the model; the default's for an empty name; nothing for an unknown one.
  std::optional<size_t> Find(absl::string_view name) const;

  // What the model's classes are called: Find makes a class id of a text, or UNKNOWN_CLASS with the
  // nearest. REQUIRES: model < models().size().
  const ClassIndex& classes(size_t model) const { return classes_[model]; }

 private:
  std::vector<EngineInfo> models_;
  std::vector<std::string> devices_;
  absl::flat_hash_map<std::string, size_t> by_name_;
  std::vector<ClassIndex> classes_;  // By model.
};

}  // namespace hmar

#endif  // HMAR_SERVER_WIRE_MODEL_CATALOG_H_
