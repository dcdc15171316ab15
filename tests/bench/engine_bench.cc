// The bare engine, without the server: images a second, milliseconds a step and an image, the
// decoder's share, memory, a hash of what it made; on a GPU also each kernel's share and the linear
// layers' TFLOP/s.
//
//   engine_bench [--model FOLDER] [--device cpu|cuda:N] [--precision bf16|fp8] [--images 64]
//                [--in-flight 16] [--rolling] [--previews none|fast|full] [--threads N]
//                [--warm-seconds N] [--alone N] [--no-graphs] [--profile]
//
// Images start together, --in-flight at a time; with --rolling they start one after the other, so
// that a step holds images at every scale, as in a busy server. --in-flight 1 gives the latency of
// an image alone. A GPU slows down as it warms up, so it has the same load for --warm-seconds
// before anything counts. --alone makes the first images again, each alone, and ends with exit code
// 1 if one has another byte than in the crowd.

#include <sys/resource.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <climits>
#include <cstdio>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "model/sampling_plan.h"
#include "tests/bench/bench_engine.h"
#include "tests/bench/crowd_bytes.h"

namespace hmar {
namespace {

double Seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

constexpr ImageId kHashed = 256;        // The first images of a run go into its hash.
constexpr double kGpuWarmSeconds = 20;  // By default; a CPU needs none.

struct Load {
  int images = 64;
  int in_flight = 16;
  bool rolling = false;
  PreviewMode previews = PreviewMode::kNone;
};

struct Totals {
  double seconds = 0;
  double decode_seconds = 0;
  uint64_t steps = 0;
  uint64_t rows = 0;
  uint64_t images = 0;
  uint64_t previews = 0;
  std::vector<double> latencies_seconds;
};

// Keeps an engine busy and counts what comes back.
class Driver {
 public:
  Driver(Engine* engine, const Load& load) : engine_(engine), load_(load) {
    const ModelConfig& config = engine->info().config;
    const auto passes = static_cast<int>(PlanPasses(config, config.sampling, true, 0).size());
    admit_at_once_ =
        load.rolling ? std::max(1, (load.in_flight + passes - 1) / passes) : load.in_flight;
  }

  // Makes `images` images; counts from the end of the ramp on, if the load is rolling.
  Totals Run(int images) {
    images_ = images;
    bool ramp = load_.rolling;
    double start = Seconds();
    while (delivered_ < images_) {
      AdmitMore();
      Take(engine_->Step(running_));
      if (ramp && static_cast<int>(running_.size()) >= load_.in_flight - admit_at_once_ &&
          delivered_ > 0) {
        ramp = false;
        totals_ = Totals();
        start = Seconds();
      }
      if (load_.rolling && !ramp && static_cast<int>(admitted_) == images_) break;
    }
    totals_.seconds = Seconds() - start;
    Drain();
    return totals_;
  }

  // The same load for a while.
  void Warm(double seconds) {
    images_ = INT_MAX;
    for (const double end = Seconds() + seconds; Seconds() < end;) {
      AdmitMore();
      Take(engine_->Step(running_));
    }
    Drain();
  }

  const Made& made() const { return made_; }  // The first kHashed images.

  uint64_t rows() const { return rows_; }  // Of all of Run's steps.

 private:
  void Drain() {
    while (delivered_ < static_cast<int>(admitted_)) Take(engine_->Step(running_));
  }

  void AdmitMore() {
    const bool full =
        load_.rolling ? false : !running_.empty() || delivered_ < static_cast<int>(admitted_);
    if (full) return;
    for (int i = 0; i < admit_at_once_ && static_cast<int>(admitted_) < images_ &&
                    static_cast<int>(running_.size()) < load_.in_flight;
         ++i) {
      const ImageId id = admitted_++;
      if (!engine_->Admit(id, BenchTask(engine_->info().config, id, load_.previews)).ok())
        std::abort();
      admitted_at_[id] = Seconds();
      running_.push_back(id);
    }
  }

  void Take(absl::StatusOr<StepReport> step) {
    StepReport report = Checked(std::move(step));
    for (const PassReport& pass : report.passes) {
      if (pass.last) std::erase(running_, pass.id);
    }
    for (ImageReport& image : report.images) {
      totals_.latencies_seconds.push_back(Seconds() - admitted_at_.at(image.id));
      ++delivered_;
      if (image.id < kHashed) made_[image.id] = std::move(image);
    }
    totals_.decode_seconds += report.decode_seconds;
    totals_.rows += report.rows;
    rows_ += report.rows;
    totals_.images += report.images.size();
    totals_.previews += report.previews.size();
    totals_.steps += !report.passes.empty();
  }

  Engine* const engine_;
  const Load load_;
  int admit_at_once_;
  int images_ = 0, delivered_ = 0;
  uint64_t admitted_ = 0, rows_ = 0;
  std::vector<ImageId> running_;
  std::map<ImageId, double> admitted_at_;
  Totals totals_;
  Made made_;
};

void Print(const Totals& totals) {
  std::vector<double> latencies = totals.latencies_seconds;
  std::sort(latencies.begin(), latencies.end());
  const auto count = static_cast<double>(totals.images);
  std::printf(
      "images/s %.2f  ms/image %.2f  ms/step %.2f  rows/step %.0f  decoder %.1f %%  latency p50 "
      "%.2f ms  previews/image %.1f\n",
      count / totals.seconds, 1e3 * totals.seconds / count,
      1e3 * totals.seconds / static_cast<double>(totals.steps),
      static_cast<double>(totals.rows) / static_cast<double>(totals.steps),
      100 * totals.decode_seconds / totals.seconds,
      latencies.empty() ? 0 : 1e3 * latencies[latencies.size() / 2],
      static_cast<double>(totals.previews) / count);
}

void PrintMemory(const EngineInfo& info) {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  std::printf("images in flight at most %u  peak RSS %ld MB", info.max_images,
              usage.ru_maxrss / 1024);
  for (const MemoryUse& use : info.memory) {
    std::printf("  %s %.0f MiB", use.kind.c_str(), static_cast<double>(use.bytes) / (1 << 20));
  }
  std::printf("\n");
}

// Floating-point operations that the linear layers and the head take for one row.
double LinearFlopOfRow(const ModelConfig& config) {
  const TransformerConfig& t = config.transformer;
  const double C = t.embed_dim, F = t.hidden(), V = config.tokenizer.vocab_size;
  return 2 * (t.depth * (4 * C * C + 2 * C * F) + C * V);
}

struct Options {
  BenchEngineOptions engine;
  Load load;
  std::string previews = "none";
  double warm_seconds = -1;  // Below 0: kGpuWarmSeconds on a GPU.
  size_t alone = 0;
  bool profile = false;
};

void AddOptions(CLI::App* app, Options* options) {
  BenchEngineOptions& engine = options->engine;
  Load& load = options->load;
  app->add_option("--model", engine.model, "Model folder")->capture_default_str();
  app->add_option("--device", engine.device, "cpu or cuda:N")->capture_default_str();
  app->add_option("--precision", engine.precision, "Of a GPU: bf16 or fp8")->capture_default_str();
  app->add_option("--images", load.images)->capture_default_str()->check(CLI::Range(1, 1000000));
  app->add_option("--in-flight,--batch", load.in_flight)
      ->capture_default_str()
      ->check(CLI::Range(1, 4096));
  app->add_flag("--rolling", load.rolling, "Start images one after the other");
  app->add_option("--max-step-rows", engine.max_step_rows)->capture_default_str();
  app->add_option("--threads", engine.threads, "CPU: threads of one operator; 0: one a core")
      ->capture_default_str();
  app->add_option("--warm-seconds", options->warm_seconds,
                  "The same load for so long before the one that counts; default: 20 on a GPU")
      ->check(CLI::Range(0, 3600));
  app->add_option("--alone", options->alone,
                  "Makes so many of the images alone, too, and compares their bytes")
      ->check(CLI::Range(0, static_cast<int>(kHashed)));
  app->add_flag("!--no-graphs", engine.graphs, "GPU: launch kernel by kernel");
  app->add_flag("--profile", options->profile,
                "GPU: each kernel's share, the linear layers' TFLOP/s, in a further run");
  app->add_option("--previews", options->previews)
      ->check(CLI::IsMember({"none", "fast", "full"}))
      ->capture_default_str();
}

void Profile(Engine* engine, const Load& load) {
  PrintKernelShares([&] {
    Driver driver(engine, load);
    driver.Run(load.images);
    return static_cast<double>(driver.rows()) * LinearFlopOfRow(engine->info().config);
  });
}

void Warm(Engine* engine, const Options& options) {
  const bool gpu = options.engine.device != "cpu";
  const double seconds =
      options.warm_seconds >= 0 ? options.warm_seconds : (gpu ? kGpuWarmSeconds : 0);
  Driver(engine, options.load).Run(std::min(options.load.images, 2 * options.load.in_flight));
  Driver(engine, options.load).Warm(seconds);
}

int Measure(const Options& options) {
  const Load& load = options.load;
  const double start = Seconds();
  auto engine = MakeBenchEngine(options.engine);
  if (!engine.ok()) return std::fprintf(stderr, "%s\n", engine.status().ToString().c_str()), 1;
  std::printf("%s on %s %s  in flight %d%s  previews %s  load %.2f s\n",
              options.engine.model.c_str(), (*engine)->info().device.c_str(),
              (*engine)->info().precision.c_str(), load.in_flight, load.rolling ? " rolling" : "",
              options.previews.c_str(), Seconds() - start);
  Warm(engine->get(), options);
  Driver driver(engine->get(), load);
  Print(driver.Run(load.images));
  PrintMemory((*engine)->info());
  PrintHash(driver.made());
  const bool same = CompareAlone(engine->get(), load.previews, driver.made(), options.alone);
  if (options.profile) Profile(engine->get(), load);
  return same ? 0 : 1;
}

int Main(int argc, char** argv) {
  Options options;
  CLI::App app("Measures a bare engine");
  AddOptions(&app, &options);
  CLI11_PARSE(app, argc, argv);
  options.load.previews = options.previews == "fast"   ? PreviewMode::kFast
                          : options.previews == "full" ? PreviewMode::kFull
                                                       : PreviewMode::kNone;
  options.engine.max_images = static_cast<uint32_t>(options.load.in_flight);
  return Measure(options);
}

}  // namespace
}  // namespace hmar

int main(int argc, char** argv) { return hmar::Main(argc, argv); }
