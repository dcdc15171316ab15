#include "tests/model/golden.h"

#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iostream>
#include <map>
#include <sstream>

#include "model/cpu_engine.h"
#include "model/model_folder.h"

namespace hmar {
namespace {

[[noreturn]] void Fail(const std::string& what) {
  std::cerr << what << std::endl;
  std::abort();
}

std::string ReadFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) Fail("cannot read " + path + "; tests run in the source root");
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

}  // namespace

std::vector<TokenMap> TokenMapsOf(const nlohmann::json& lists) {
  return lists.get<std::vector<TokenMap>>();
}

KeepMap DigitsOf(const std::string& text) {
  KeepMap digits;
  for (const char c : text) digits.push_back(c == '1');
  return digits;
}

std::vector<KeepMap> KeepMapsOf(const nlohmann::json& texts) {
  std::vector<KeepMap> maps;
  for (const nlohmann::json& text : texts) maps.push_back(DigitsOf(text.get<std::string>()));
  return maps;
}

ImageTask TaskOf(const nlohmann::json& request) {
  ImageTask task;
  if (!request["class_id"].is_null()) task.class_id = request["class_id"].get<uint32_t>();
  task.seed = request["seed"].get<uint64_t>();
  task.sampling.cfg_scale = request["cfg"].get<float>();
  task.sampling.top_k = request["top_k"].get<uint32_t>();
  task.sampling.top_p = request["top_p"].get<float>();
  task.sampling.temperature = request["temperature"].get<float>();
  task.sampling.mask_schedule = request["mask_schedule"].get<MaskSchedule>();
  task.prefix = TokenMapsOf(request["prefix"]);
  if (request.contains("keep")) {
    task.keep = std::make_shared<std::vector<KeepMap>>(KeepMapsOf(request["keep"]));
    task.given = std::make_shared<TokenPyramid>(TokenMapsOf(request["given"]));
  }
  return task;
}

Golden::Golden(const std::string& name) : name_(name) {
  document_ = nlohmann::json::parse(ReadFile("tests/golden/" + name + ".json"));
  bytes_ = ReadFile("tests/golden/" + name + ".bin");
  for (const nlohmann::json& image : document_["images"]) {
    images_.push_back(
        {TaskOf(image), TokenMapsOf(image["tokens"]), image["rgb_sum"].get<int64_t>()});
  }
}

std::vector<float> Golden::array(const std::string& name) const {
  if (!has(name)) Fail("no array " + name + " in golden " + name_);
  const nlohmann::json& where = document_["arrays"][name];
  size_t elements = 1;
  for (const size_t n : where["shape"].get<std::vector<size_t>>()) elements *= n;
  std::vector<float> values(elements);
  std::memcpy(values.data(), bytes_.data() + where["offset"].get<size_t>(),
              elements * sizeof(float));
  return values;
}

std::string Golden::model_folder() const {
  if (name_ == "hmar-cifar10") return "deploy/models/hmar-cifar10";
  // On another machine than the build's the models lie elsewhere.
  const char* folder = std::getenv("HMAR_TEST_MODELS");
  return std::string(folder != nullptr ? folder : HMAR_TEST_MODELS) + "/" + name_;
}

std::unique_ptr<Engine> LoadEngine(const std::string& folder, bool fast_previews,
                                   uint32_t max_images, int threads) {
  auto opened = OpenModelFolder(folder);
  if (!opened.ok()) Fail(opened.status().ToString());
  CpuEngineOptions options;
  options.max_images = max_images;
  options.fast_previews = fast_previews;
  options.threads = threads;
  auto engine = MakeCpuEngine(*std::move(opened), options);
  if (!engine.ok()) Fail(engine.status().ToString());
  return *std::move(engine);
}

std::vector<ImageReport> RunAll(Engine* engine, const std::vector<ImageTask>& tasks,
                                ImageId first_id) {
  std::vector<ImageId> running;
  for (size_t i = 0; i < tasks.size(); ++i) {
    running.push_back(first_id + i);
    if (auto status = engine->Admit(running.back(), tasks[i]); !status.ok())
      Fail(status.ToString());
  }
  std::map<ImageId, ImageReport> done;
  while (!running.empty()) {
    auto report = engine->Step(running);
    if (!report.ok()) Fail(report.status().ToString());
    if (!report->failures.empty()) Fail(report->failures[0].status.ToString());
    for (ImageReport& image : report->images) {
      std::erase(running, image.id);
      done[image.id] = std::move(image);
    }
  }
  std::vector<ImageReport> images;
  for (auto& [id, image] : done) images.push_back(std::move(image));
  return images;
}

}  // namespace hmar
