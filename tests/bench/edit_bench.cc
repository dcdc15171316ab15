// What an edit costs beside a generation, in turns in one run: an image alone, the encoding of a
// picture, an edit of a quarter of it (a box of half its side, in the middle). One image at a time;
// medians.
//
//   edit_bench [--model FOLDER] [--device cpu|cuda:N] [--threads N] [--rounds 15]

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "model/edit.h"
#include "tests/bench/bench_engine.h"

namespace hmar {
namespace {

double Milliseconds() {
  return std::chrono::duration<double, std::milli>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

double Median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + values.size() / 2, values.end());
  return values[values.size() / 2];
}

[[noreturn]] void Fail(const std::string& what) {
  std::fprintf(stderr, "edit_bench: %s\n", what.c_str());
  std::exit(1);
}

Picture Waves(int side, int seed) {
  const auto S = static_cast<uint32_t>(side);
  Picture picture{S, S, std::vector<uint8_t>(size_t{3} * S * S)};
  for (size_t i = 0; i < picture.rgb.size(); ++i) {
    picture.rgb[i] = static_cast<uint8_t>(128 + 100 * std::sin(0.003 * (seed + 3) * i));
  }
  return picture;
}

std::shared_ptr<const std::vector<KeepMap>> QuarterKept(const ModelConfig& config) {
  const int S = config.image_size;
  std::vector<uint8_t> region(static_cast<size_t>(S) * S, 0);
  for (int y = S / 4; y < S * 3 / 4; ++y) {
    std::fill_n(region.begin() + y * S + S / 4, S / 2, 1);
  }
  return std::make_shared<std::vector<KeepMap>>(KeepMaps(KeepCells(region, config), config));
}

class Bench {
 public:
  explicit Bench(Engine* engine) : engine_(engine), config_(engine->info().config) {}

  ImageTask Task(uint64_t seed) const {
    ImageTask task;
    task.class_id = static_cast<uint32_t>(seed % config_.classes.size());
    task.seed = seed;
    task.sampling = config_.sampling;
    return task;
  }

  TokenPyramid Encode(const Picture& picture) {
    const Picture* const pictures[] = {&picture};
    auto tokens = engine_->Encode(pictures);
    if (!tokens.ok()) Fail(tokens.status().ToString());
    return std::move(tokens->front());
  }

  TokenPyramid Make(ImageTask task) {
    const ImageId id = next_id_++;
    if (!engine_->Admit(id, std::move(task)).ok()) Fail("an image was not admitted");
    std::vector<ImageId> running = {id};
    while (true) {
      auto report = engine_->Step(running);
      if (!report.ok() || !report->failures.empty()) Fail("a step failed");
      for (const PassReport& pass : report->passes) {
        if (pass.last) running.clear();
      }
      if (!report->images.empty()) return std::move(report->images.front().tokens);
    }
  }

  const ModelConfig& config() const { return config_; }

 private:
  Engine* const engine_;
  const ModelConfig& config_;
  ImageId next_id_ = 1;
};

void CheckKept(const ImageTask& edit, const TokenPyramid& tokens) {
  for (size_t k = 0; k < tokens.size(); ++k) {
    for (size_t i = 0; i < tokens[k].size(); ++i) {
      if ((*edit.keep)[k][i] != 0 && tokens[k][i] != (*edit.given)[k][i]) Fail("a kept token");
    }
  }
}

void Run(Bench* bench, int rounds) {
  std::vector<double> plain, encode, edit;
  const auto keep = QuarterKept(bench->config());
  for (int round = -2; round < rounds; ++round) {  // The first two warm up.
    const Picture picture = Waves(bench->config().image_size, round);
    const double start = Milliseconds();
    bench->Make(bench->Task(round + 10));
    const double generated = Milliseconds();
    ImageTask task = bench->Task(round + 10);
    task.keep = keep;
    task.given = std::make_shared<TokenPyramid>(bench->Encode(picture));
    const double encoded = Milliseconds();
    CheckKept(task, bench->Make(task));
    const double edited = Milliseconds();
    if (round < 0) continue;
    plain.push_back(generated - start);
    encode.push_back(encoded - generated);
    edit.push_back(edited - encoded);
  }
  const double limit = Median(plain) + Median(encode);
  std::printf(
      "generation %.2f ms  encoding %.2f ms  edit of a quarter %.2f ms, with its encoding "
      "%.2f = %.2f of a generation and an encoding\n",
      Median(plain), Median(encode), Median(edit), Median(edit) + Median(encode),
      (Median(edit) + Median(encode)) / limit);
}

}  // namespace
}  // namespace hmar

int main(int argc, char** argv) {
  hmar::BenchEngineOptions options;
  int rounds = 15;
  CLI::App app("What an edit costs beside a generation.");
  app.add_option("--model", options.model);
  app.add_option("--device", options.device);
  app.add_option("--threads", options.threads);
  app.add_option("--rounds", rounds)->check(CLI::Range(1, 1000));
  CLI11_PARSE(app, argc, argv);
  auto engine = hmar::MakeBenchEngine(options);
  if (!engine.ok()) hmar::Fail(engine.status().ToString());
  hmar::Bench bench(engine->get());
  hmar::Run(&bench, rounds);
}