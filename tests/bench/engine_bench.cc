// The bare engine, without the server: images a second, milliseconds a step, share of the decoder,
// memory.
//
//   engine_bench [--model FOLDER] [--images 64] [--batch 16] [--previews none|fast|full] [--threads
//   N]
//
// Images of one batch start together; when it is done the next starts. --batch 1 gives the latency
// of an image alone.

#include <sys/resource.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <vector>

#include "model/cpu_engine.h"
#include "model/model_folder.h"

namespace hmar {
namespace {

double Seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

struct Totals {
  double seconds = 0;
  double decode_seconds = 0;
  uint64_t steps = 0;
  uint64_t rows = 0;
  uint64_t images = 0;
};

ImageTask Task(const ModelConfig& config, uint64_t seed, PreviewMode previews) {
  ImageTask task;
  task.class_id = static_cast<uint32_t>(seed % config.classes.size());
  task.seed = seed;
  task.sampling = config.sampling;
  task.preview_mode = previews;
  task.preview_scales.assign(config.num_scales(), true);
  task.preview_scales.back() = false;
  return task;
}

// Runs `batch` images from `first_seed` in common steps.
void RunBatch(Engine* engine, uint64_t first_seed, int batch, PreviewMode previews,
              Totals* totals) {
  std::vector<ImageId> running;
  for (int i = 0; i < batch; ++i) {
    running.push_back(first_seed + i);
    if (!engine->Admit(running.back(), Task(engine->info().config, first_seed + i, previews)).ok())
      std::abort();
  }
  while (!running.empty()) {
    const double start = Seconds();
    const auto report = engine->Step(running);
    totals->seconds += Seconds() - start;
    if (!report.ok()) std::abort();
    for (const ImageReport& image : report->images) std::erase(running, image.id);
    totals->decode_seconds += report->decode_seconds;
    totals->rows += report->rows;
    totals->images += report->images.size();
    ++totals->steps;
  }
}

int Main(int argc, char** argv) {
  std::string model = "deploy/models/hmar-cifar10", previews = "none";
  int images = 64, batch = 16;
  CpuEngineOptions options;
  CLI::App app("Measures the bare CPU engine");
  app.add_option("--model", model, "Model folder")->capture_default_str();
  app.add_option("--images", images, "Images to make")
      ->capture_default_str()
      ->check(CLI::Range(1, 1000000));
  app.add_option("--batch", batch, "Images in common steps")
      ->capture_default_str()
      ->check(CLI::Range(1, 4096));
  app.add_option("--threads", options.threads, "Threads of one operator; 0: one a core")
      ->capture_default_str();
  app.add_option("--previews", previews)
      ->check(CLI::IsMember({"none", "fast", "full"}))
      ->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  const PreviewMode mode = previews == "fast"   ? PreviewMode::kFast
                           : previews == "full" ? PreviewMode::kFull
                                                : PreviewMode::kNone;
  options.max_images = batch;
  const double start = Seconds();
  auto folder = OpenModelFolder(model);
  if (!folder.ok()) return std::fprintf(stderr, "%s\n", folder.status().ToString().c_str()), 1;
  auto engine = MakeCpuEngine(*std::move(folder), options);
  if (!engine.ok()) return std::fprintf(stderr, "%s\n", engine.status().ToString().c_str()), 1;
  const double loaded = Seconds() - start;

  Totals warm_up, totals;
  RunBatch(engine->get(), 1 << 20, batch, mode, &warm_up);
  for (int done = 0; done < images; done += batch)
    RunBatch(engine->get(), done, batch, mode, &totals);
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  std::printf("model %s  batch %d  previews %s\n", model.c_str(), batch, previews.c_str());
  std::printf(
      "load %.2f s  images/s %.2f  ms/image %.1f  ms/step %.2f  rows/step %.0f  decoder %.0f %%  "
      "peak RSS %ld MB\n",
      loaded, totals.images / totals.seconds, 1e3 * totals.seconds / totals.images,
      1e3 * totals.seconds / totals.steps, static_cast<double>(totals.rows) / totals.steps,
      100 * totals.decode_seconds / totals.seconds, usage.ru_maxrss / 1024);
  return 0;
}

}  // namespace
}  // namespace hmar

int main(int argc, char** argv) { return hmar::Main(argc, argv); }
