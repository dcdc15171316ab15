// What a request costs that calls its class by a name: one that there is, and text that is none,
// for which the nearest names are sought.

#include <benchmark/benchmark.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "server/wire/class_index.h"

namespace hmar {
namespace {

const ClassIndex& ImageNet() {
  static const auto* const index = new ClassIndex(*OfficialArchitecture("hmar-d16"));
  return *index;
}

// As many characters as a config.json may have, of two bytes each.
const ClassIndex& Largest() {
  static const auto* const index = [] {
    ModelConfig config;
    for (int i = 0; i < 16 << 10; ++i) {
      std::string name = absl::StrCat(i);
      while (name.size() < kMaxClassNameBytes - 1) name += "\xc3\xa9";
      config.classes.push_back(name);
    }
    return new ClassIndex(config);
  }();
  return *index;
}

void Find(benchmark::State& state, const ClassIndex& index, const std::string& text) {
  for (auto _ : state) benchmark::DoNotOptimize(index.Find(text));
}

BENCHMARK_CAPTURE(Find, a_name, ImageNet(), "Golden_Retriever");
BENCHMARK_CAPTURE(Find, a_number, ImageNet(), "207");
BENCHMARK_CAPTURE(Find, misspelt, ImageNet(), "goldn retreiver");
BENCHMARK_CAPTURE(Find, noise, ImageNet(), std::string(kMaxClassNameBytes, 'x'));
BENCHMARK_CAPTURE(Find, too_long, ImageNet(), std::string(4 << 20, 'x'));
BENCHMARK_CAPTURE(Find, misspelt_of_the_largest, Largest(), "goldn retreiver")
    ->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(Find, other_letters_of_the_largest, Largest(), "\xd1\x80\xd0\xb5\xd1\x82\xd1\x80")
    ->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace hmar

BENCHMARK_MAIN();
