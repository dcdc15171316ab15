// Damaged files must give errors, not crashes: bytes of sound ones are changed, cut and repeated at
// random. Worth most in a build with HMAR_SANITIZE=address,undefined.

#include <gtest/gtest.h>

#include <random>

#include "model/checkpoint.h"
#include "model/config.h"
#include "model/safetensors_header.h"
#include "model/state_dict.h"
#include "tests/model/weight_files.h"

namespace hmar {
namespace {

class Mutator {
 public:
  explicit Mutator(std::string sound) : sound_(std::move(sound)) {}

  std::string Next() {
    std::string bytes = sound_;
    for (uint32_t change = Below(4) + 1; change > 0 && !bytes.empty(); --change) {
      const size_t at = Below(bytes.size());
      switch (Below(6)) {
        case 0:
          bytes[at] = static_cast<char>(Below(256));
          break;
        case 1:
          bytes[at] ^= static_cast<char>(1 << Below(8));
          break;
        case 2:
          bytes[at] = kTelling[Below(sizeof(kTelling) - 1)];
          break;
        case 3:
          bytes.erase(at, Below(8) + 1);
          break;
        case 4:
          bytes.insert(at, sound_.substr(Below(sound_.size()), Below(32)));
          break;
        default:
          if (Below(8) == 0) bytes.resize(at);
      }
    }
    return bytes;
  }

 private:
  // Bytes that formats give a meaning to.
  static constexpr char kTelling[] = "\0\x7f\x80\xff{}[]\",:019-e(.)tuRQcXNhqbs\x85\x8a\x94";

  uint32_t Below(size_t limit) { return static_cast<uint32_t>(random_() % limit); }

  const std::string sound_;
  std::mt19937 random_{20240601};  // The standard fixes its values.
};

absl::Span<const uint8_t> Span(const std::string& bytes) {
  return {reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()};
}

// Reads whatever a damaged file still offers; returns whether it opened.
bool ReadAll(const absl::StatusOr<std::unique_ptr<Checkpoint>>& file) {
  if (!file.ok()) {
    EXPECT_FALSE(file.status().message().empty());
    return false;
  }
  for (const auto& [name, info] : (*file)->tensors()) {
    std::vector<uint8_t> buffer;
    const auto bytes = (*file)->Read(name, &buffer);
    if (!bytes.ok()) continue;
    EXPECT_EQ(bytes->size(), static_cast<size_t>(info.elements()) * DTypeSize(info.dtype));
    uint32_t sum = 0;
    for (const uint8_t byte : *bytes) sum += byte;  // Touches every byte.
    EXPECT_LE(sum, 255 * bytes->size());
  }
  return true;
}

struct Outcome {
  int opened = 0;
  int refused = 0;
};

// Mutations must have met both fates, or the test has tested little.
void ExpectBoth(const Outcome& outcome) {
  EXPECT_GT(outcome.opened, 0);
  EXPECT_GT(outcome.refused, 0);
}

TEST(Mutation, OfSafetensorsFilesNeverCrashes) {
  const TempFolder folder;
  Mutator mutator(SafetensorsOfShapes({{"a.weight", {2, 3}}, {"b", {}}, {"c", {0, 7}}}, 1.0f));
  Outcome outcome;
  for (int i = 0; i < 4000; ++i) {
    const auto file = OpenSafetensors(folder.Write("f.safetensors", mutator.Next()));
    ++(ReadAll(file) ? outcome.opened : outcome.refused);
  }
  ExpectBoth(outcome);
}

TEST(Mutation, OfSafetensorsHeadersNeverCrashes) {
  const std::string header =
      R"({"__metadata__":{"format":"pt"},"a":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]},)"
      R"("b":{"dtype":"BF16","shape":[],"data_offsets":[24,26]}})";
  Mutator mutator(header);
  Outcome outcome;
  for (int i = 0; i < 50'000; ++i) {
    const auto entries = ParseSafetensorsHeader(Span(mutator.Next()), 26);
    ++(entries.ok() ? outcome.opened : outcome.refused);
  }
  ExpectBoth(outcome);
}

TEST(Mutation, OfPthFilesNeverCrashes) {
  const TempFolder folder;
  Mutator mutator(ReadFile("tests/golden/pth/tensors.pth"));
  Outcome outcome;
  for (int i = 0; i < 4000; ++i) {
    const auto file = OpenPth(folder.Write("f.pth", mutator.Next()));
    ++(ReadAll(file) ? outcome.opened : outcome.refused);
  }
  ExpectBoth(outcome);
}

std::string SmallPickle() {
  using namespace pickled;  // NOLINT: the pieces read best bare.
  const std::string storage = Storage("FloatStorage", "0", 6);
  return Program(
      Dict({{"a", Tensor(storage, 0, {2, 3}, {3, 1})}, {"b", Tensor(storage, 1, {2, 2}, {1, 2})}}));
}

TEST(Mutation, OfPicklesInSoundArchivesNeverCrashes) {
  const TempFolder folder;
  Mutator mutator(SmallPickle());
  Outcome outcome;
  for (int i = 0; i < 4000; ++i) {
    const std::string archive = TorchZip(mutator.Next(), {{"0", std::string(24, '\1')}});
    ++(ReadAll(OpenPth(folder.Write("f.pth", archive))) ? outcome.opened : outcome.refused);
  }
  ExpectBoth(outcome);
}

TEST(Mutation, OfPicklesAloneNeverCrashes) {
  Mutator mutator(SmallPickle());
  Outcome outcome;
  for (int i = 0; i < 100'000; ++i) {
    const std::string pickle = mutator.Next();
    ++(ReadStateDict(Span(pickle)).ok() ? outcome.opened : outcome.refused);
  }
  ExpectBoth(outcome);
}

TEST(Mutation, OfConfigurationsNeverCrashes) {
  std::string config = ReadFile("deploy/models/hmar-cifar10/config.json");
  config.insert(1, R"("class_aliases":{"ship":["boat"],"cat":["kitty","tom cat"]},)");
  Mutator mutator(config);
  Outcome outcome;
  for (int i = 0; i < 20'000; ++i) {
    ++(ParseModelConfig(mutator.Next(), "c").ok() ? outcome.opened : outcome.refused);
  }
  ExpectBoth(outcome);
}

}  // namespace
}  // namespace hmar
