#ifndef HMAR_SERVER_WIRE_MODEL_CATALOG_H_
#define HMAR_SERVER_WIRE_MODEL_CATALOG_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "model/engine.h"

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

  // Class id of an exact class name. REQUIRES: model < models().size().
  std::optional<uint32_t> FindClass(size_t model, absl::string_view class_name) const;

 private:
  std::vector<EngineInfo> models_;
  std::vector<std::string> devices_;
  absl::flat_hash_map<std::string, size_t> by_name_;
  std::vector<absl::flat_hash_map<std::string, uint32_t>>
      class_ids_;  // By model. A name used twice: its first id.
};

}  // namespace hmar

#endif  // HMAR_SERVER_WIRE_MODEL_CATALOG_H_
