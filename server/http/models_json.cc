#include "server/http/models_json.h"

#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"

namespace hmar {
namespace {

using Json = nlohmann::ordered_json;

Json SamplingJson(const SamplingParams& sampling) {
  return {{"cfg_scale", sampling.cfg_scale},
          {"top_k", sampling.top_k},
          {"top_p", sampling.top_p},
          {"temperature", sampling.temperature},
          {"mask_schedule", sampling.mask_schedule}};
}

Json OwnJson(const EngineInfo& model, const ModelCatalog& catalog, bool is_default,
             uint32_t max_images) {
  return {{"architecture", model.config.architecture},
          {"digest", model.digest},
          {"image_size", model.config.image_size},
          {"patch_nums", model.config.patch_nums},
          {"classes", model.config.classes},
          {"is_default", is_default},
          {"precision", model.precision},
          {"parameters", absl::StrCat(model.parameters)},
          {"devices", std::vector<std::string>(catalog.devices().begin(), catalog.devices().end())},
          {"sampling", SamplingJson(model.config.sampling)},
          {"max_images", max_images}};
}

Json Model(const ModelCatalog& catalog, size_t index, uint32_t max_images, absl::Time created) {
  const EngineInfo& model = catalog.models()[index];
  return {{"id", model.config.name},
          {"object", "model"},
          {"created", absl::ToUnixSeconds(created)},
          {"owned_by", "hmar-server"},
          {"hmar", OwnJson(model, catalog, index == 0, max_images)}};
}

std::string Dump(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace

std::string ModelJson(const ModelCatalog& catalog, size_t index, uint32_t max_images,
                      absl::Time created) {
  return Dump(Model(catalog, index, max_images, created));
}

std::string ModelsJson(const ModelCatalog& catalog, const KeyHolder* key, uint32_t max_images,
                       absl::Time created) {
  Json list = {{"object", "list"}, {"data", Json::array()}};
  for (size_t i = 0; i < catalog.models().size(); ++i) {
    if (!MayUse(key, catalog.models()[i].config.name)) continue;
    list["data"].push_back(Model(catalog, i, max_images, created));
  }
  return Dump(list);
}

}  // namespace hmar
