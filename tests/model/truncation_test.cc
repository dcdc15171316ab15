// Images that end early on the CPU engine (engine.h, Truncate).

#include "tests/model/truncation.h"

#include "model/cpu_engine.h"
#include "tests/model/golden.h"

namespace hmar {
namespace {

class TruncationTest : public testing::Test {
 protected:
  const std::unique_ptr<Engine> engine_ = LoadEngine("deploy/models/hmar-cifar10", true);
};

TEST_F(TruncationTest, CutsHarmNobodyAndLeaveTheBeginningOfTheImage) {
  ExpectCutsHarmNobody(engine_.get(), 24);
}

TEST_F(TruncationTest, ACutEditIsTheBeginningOfTheEdit) {
  ExpectCutEditIsBeginningOfItself(engine_.get(), EditOfUpperHalf(engine_.get()));
}

TEST_F(TruncationTest, AnImageThatStartsFromScalesEndsEarlyToo) {
  const ModelConfig& config = engine_->info().config;
  const ImageTask task = VariedTask(config, 3, PreviewMode::kFull);
  const Seen whole = RunCut(engine_.get(), {task}, {std::nullopt})[1];
  ImageTask rest = task;
  rest.prefix.assign(whole.tokens.begin(), whole.tokens.begin() + 3);
  const Cut cut{0, 5};
  const Seen expected = RunCut(engine_.get(), {SpelledOut(config, rest, cut)}, {std::nullopt})[1];
  ExpectBeginningOf(RunCut(engine_.get(), {rest}, {cut})[1], expected, 5);
}

TEST_F(TruncationTest, RefusesWhatItCannotCut) { ExpectRefusesWhatItCannotCut(engine_.get()); }

}  // namespace
}  // namespace hmar
