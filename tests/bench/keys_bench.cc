// What a call's key costs at its headers: the hash of what is shown, and the compare with every key
// of the file. Checks that who is looked for is found.

#include <benchmark/benchmark.h>
#include <openssl/evp.h>

#include <array>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "server/base/clock.h"
#include "server/keys/key_ring.h"

namespace hmar {
namespace {

std::string HashOf(const std::string& key) {
  std::array<uint8_t, 32> hash;
  EVP_Digest(key.data(), key.size(), hash.data(), nullptr, EVP_sha256(), nullptr);
  return absl::BytesToHexString(
      absl::string_view(reinterpret_cast<const char*>(hash.data()), hash.size()));
}

void BM_Identify(benchmark::State& state) {
  const std::string path = "/tmp/keys_bench.toml";
  {
    std::ofstream file(path);
    for (int64_t i = 0; i < state.range(0); ++i) {
      file << "[[key]]\nname = \"n" << i << "\"\nsha256 = \"" << HashOf(absl::StrCat("key", i))
           << "\"\n";
    }
  }
  const RealClock clock;
  const auto ring = *KeyRing::Open(path, {"m"}, &clock, &clock);
  const std::vector<std::string> header = {absl::StrCat("Bearer key", state.range(0) / 2)};
  for (auto _ : state) {
    const auto holder = ring->Identify(header);
    if (!holder.ok() || (*holder)->key.name != absl::StrCat("n", state.range(0) / 2)) std::abort();
  }
}
BENCHMARK(BM_Identify)->Arg(1)->Arg(64)->Arg(4096);

}  // namespace
}  // namespace hmar

BENCHMARK_MAIN();
