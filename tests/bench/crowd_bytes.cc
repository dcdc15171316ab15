#include "tests/bench/crowd_bytes.h"

#include <cstdio>
#include <cstdlib>
#include <string>
#include <utility>
#include <vector>

#include "model/digest.h"

namespace hmar {

ImageTask BenchTask(const ModelConfig& config, uint64_t seed, PreviewMode previews) {
  ImageTask task;
  task.class_id = static_cast<uint32_t>(seed % config.classes.size());
  task.seed = seed;
  task.sampling = config.sampling;
  task.preview_mode = previews;
  task.preview_scales.assign(config.num_scales(), true);
  task.preview_scales.back() = false;
  return task;
}

StepReport Checked(absl::StatusOr<StepReport> report) {
  if (report.ok() && report->failures.empty()) return *std::move(report);
  std::fprintf(stderr, "step: %s, %zu failures\n", report.status().ToString().c_str(),
               report.ok() ? report->failures.size() : 0);
  std::exit(1);
}

namespace {

std::string BytesOf(const ImageReport& image) {
  std::string bytes(image.picture.rgb.begin(), image.picture.rgb.end());
  for (const TokenMap& map : image.tokens) {
    bytes.append(reinterpret_cast<const char*>(map.data()), map.size() * sizeof(map[0]));
  }
  return bytes;
}

ImageReport MakeAlone(Engine* engine, ImageId id, PreviewMode previews) {
  if (!engine->Admit(id, BenchTask(engine->info().config, id, previews)).ok()) std::abort();
  std::vector<ImageId> running = {id};
  for (;;) {
    StepReport report = Checked(engine->Step(running));
    if (!report.images.empty()) return std::move(report.images.front());
    if (!report.passes.empty() && report.passes.front().last) running.clear();
  }
}

}  // namespace

void PrintHash(const Made& made) {
  std::string digests;
  for (const auto& [id, image] : made) digests += Sha256OfText(BytesOf(image));
  std::printf("pixels and tokens of the first %zu images: %s\n", made.size(),
              Sha256OfText(digests).c_str());
}

bool CompareAlone(Engine* engine, PreviewMode previews, const Made& crowd, size_t count) {
  size_t compared = 0, same = 0;
  for (const auto& [id, image] : crowd) {
    if (compared == count) break;
    ++compared;
    same += BytesOf(MakeAlone(engine, id, previews)) == BytesOf(image);
  }
  std::printf("of %zu images made alone %zu have the crowd's bytes\n", compared, same);
  return same == compared;
}

}  // namespace hmar
