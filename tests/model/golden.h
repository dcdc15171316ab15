#ifndef HMAR_TESTS_MODEL_GOLDEN_H_
#define HMAR_TESTS_MODEL_GOLDEN_H_

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "model/engine.h"
#include "nlohmann/json.hpp"

namespace hmar {

// One image that the reference made.
struct GoldenImage {
  ImageTask task;
  std::vector<TokenMap> tokens;  // K maps.
  int64_t rgb_sum = 0;           // Of all channels of all pixels.
};

// tests/golden/NAME.json and NAME.bin. Any flaw ends the test program: the files are part of the
// sources.
class Golden {
 public:
  explicit Golden(const std::string& name);

  const std::vector<GoldenImage>& images() const { return images_; }
  // As the JSON has them, in the same order.
  const nlohmann::json& image_documents() const { return document_["images"]; }
  const nlohmann::json& stages() const { return document_["stages"]; }

  bool has(const std::string& array) const { return document_["arrays"].contains(array); }
  std::vector<float> array(const std::string& name) const;

  // The folder of the model that the goldens are of: the bundled one, or one that the build's
  // fixture has made.
  std::string model_folder() const;

 private:
  std::string name_;
  nlohmann::json document_;
  std::string bytes_;
  std::vector<GoldenImage> images_;
};

// Zeros and ones written as one text, and a list of such.
KeepMap DigitsOf(const std::string& text);
std::vector<KeepMap> KeepMapsOf(const nlohmann::json& texts);

// A request of the JSON as a task, and the token maps of a JSON list of lists.
ImageTask TaskOf(const nlohmann::json& request);
std::vector<TokenMap> TokenMapsOf(const nlohmann::json& lists);

// Opens and loads a golden's model, or ends the test program. `threads`: as in cpu_engine.h.
std::unique_ptr<Engine> LoadEngine(const std::string& folder, bool fast_previews = false,
                                   uint32_t max_images = 64, int threads = 0);

// Runs every image of `tasks` through `engine`, all in the same steps. Image i has id first_id + i.
std::vector<ImageReport> RunAll(Engine* engine, const std::vector<ImageTask>& tasks,
                                ImageId first_id = 1);

}  // namespace hmar

#endif  // HMAR_TESTS_MODEL_GOLDEN_H_
