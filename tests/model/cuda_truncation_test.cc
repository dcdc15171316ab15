// Images that end early on the CUDA engine (engine.h, Truncate), in every precision.

#include "tests/model/cuda_engine_fixture.h"
#include "tests/model/truncation.h"

namespace hmar {
namespace {

using CudaTruncationTest = CudaEngineTest;

TEST_P(CudaTruncationTest, CutsHarmNobodyAndLeaveTheBeginningOfTheImage) {
  ExpectCutsHarmNobody(engine_.get(), 24);
}

TEST_P(CudaTruncationTest, ACutEditIsTheBeginningOfTheEdit) {
  ExpectCutEditIsBeginningOfItself(engine_.get(), EditOfUpperHalf(engine_.get()));
}

TEST_P(CudaTruncationTest, RefusesWhatItCannotCut) { ExpectRefusesWhatItCannotCut(engine_.get()); }

INSTANTIATE_TEST_SUITE_P(Models, CudaTruncationTest, testing::ValuesIn(kEngineCases), NameOf);

}  // namespace
}  // namespace hmar
