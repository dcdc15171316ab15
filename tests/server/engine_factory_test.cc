// The engines' makers. This program lies where an installed one would, with a fake libhmar_cuda.so
// in ../lib, and runs in the source root.

#include "server/engine_factory.h"

#include <filesystem>
#include <fstream>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/cuda_library.h"
#include "tests/fakes/fake_engine.h"

namespace hmar {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::Field;
using ::testing::HasSubstr;
using ::testing::Not;

const ModelSpec kModel = {"mine", "deploy/models/hmar-cifar10", "", "auto"};

Device Cuda(int ordinal) {
  return {Device::Kind::kCuda, ordinal, "cuda:" + std::to_string(ordinal)};
}

std::string NewFolder(const std::string& name) {
  const std::string folder = ::testing::TempDir() + "/hmar-" + name;
  std::filesystem::remove_all(folder);
  std::filesystem::create_directories(folder);
  return folder;
}

TEST(EngineFactoryTest, TheCpuEngineIsMadeWithinTheOptionsLimits) {
  ServerOptions options;
  options.max_images_in_flight = 3;
  const auto engine = MakeEngine(kModel, {Device::Kind::kCpu, 0, "cpu"}, options);
  ASSERT_TRUE(engine.ok()) << engine.status();
  const EngineInfo& info = (*engine)->info();
  EXPECT_EQ(info.config.name, "mine");
  EXPECT_EQ(info.device, "cpu");
  EXPECT_EQ(info.precision, "fp32");
  EXPECT_EQ(info.max_images, 3u);
  EXPECT_THAT(info.memory, Contains(Field(&MemoryUse::kind, "weights")));
}

TEST(EngineFactoryTest, AGpusEngineComesFromTheLibraryBesideTheProgramsFolder) {
  ServerOptions options;
  const auto automatic = MakeEngine(kModel, Cuda(5), options);
  ASSERT_TRUE(automatic.ok()) << automatic.status();
  EXPECT_EQ((*automatic)->info().config.name, "mine");
  EXPECT_EQ((*automatic)->info().device, "cuda:5");
  EXPECT_EQ((*automatic)->info().precision, "bf16");
  EXPECT_EQ((*automatic)->info().max_images, 16u);  // All that "fit".
  EXPECT_EQ((*automatic)->info().max_step_rows, 20480u);

  ModelSpec in_fp8 = kModel;
  in_fp8.precision = "fp8";
  options.max_images_in_flight = 7;
  options.max_step_rows = 1000;
  const auto given = MakeEngine(in_fp8, Cuda(0), options);
  ASSERT_TRUE(given.ok()) << given.status();
  EXPECT_EQ((*given)->info().precision, "fp8");
  EXPECT_EQ((*given)->info().max_images, 7u);
  EXPECT_EQ((*given)->info().max_step_rows, 1000u);
}

TEST(EngineFactoryTest, AnEngineOfTheLibraryMakesPictures) {
  const auto engine = MakeEngine(kModel, Cuda(0), ServerOptions());
  ASSERT_TRUE(engine.ok()) << engine.status();
  const ImageTask task = FakeTask((*engine)->info(), 7);
  ASSERT_TRUE((*engine)->Admit(1, task).ok());
  absl::StatusOr<StepReport> report = StepReport();
  while (report.ok() && report->images.empty()) report = (*engine)->Step({1});
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(report->images[0].picture.rgb, FakePicture((*engine)->info(), task).rgb);
}

TEST(EngineFactoryTest, ErrorsNameTheDeviceOrTheFolder) {
  EXPECT_THAT(std::string(MakeEngine(kModel, Cuda(8), ServerOptions()).status().message()),
              AllOf(HasSubstr("mine"), HasSubstr("cuda:8"), HasSubstr("8 devices")));
  EXPECT_THAT(
      std::string(
          MakeEngine({"m", "/no/such", "", "auto"}, Cuda(0), ServerOptions()).status().message()),
      HasSubstr("/no/such"));
}

TEST(CudaLibraryTest, IsLookedForBesideTheProgramAndInTheLibFolderBesideItsOwn) {
  EXPECT_THAT(CudaLibraryPlaces("/opt/hmar/bin/hmar-server"),
              ElementsAre("/opt/hmar/bin/libhmar_cuda.so", "/opt/hmar/lib/libhmar_cuda.so"));
}

TEST(CudaLibraryTest, ABuildWithoutOneSaysSoInOneLine) {
  const absl::Status status = OpenCudaLibrary({"/no/bin/libhmar_cuda.so"}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnimplemented);
  EXPECT_THAT(
      std::string(status.message()),
      AllOf(HasSubstr("this build has no CUDA engine"), HasSubstr("/no/bin/libhmar_cuda.so"),
            HasSubstr("cannot open shared object"), Not(HasSubstr("\n"))));
}

TEST(CudaLibraryTest, AFileThatIsNoLibraryIsAnErrorThatNamesItAndTheLoadersReason) {
  const std::string path = NewFolder("broken") + "/libhmar_cuda.so";
  std::ofstream(path) << "no library";
  const absl::Status status = OpenCudaLibrary({path, CudaLibraryPlaces(path)[0]}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()),
              AllOf(HasSubstr(path), HasSubstr("file too short"), Not(HasSubstr("\n"))));
}

TEST(CudaLibraryTest, ALibraryOfSomethingElseIsAnErrorThatNamesTheMissingSymbol) {
  const absl::Status status = OpenCudaLibrary({HMAR_OTHER_LIBRARY}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()),
              AllOf(HasSubstr(HMAR_OTHER_LIBRARY), HasSubstr(kMakeCudaEngineSymbol)));
}

TEST(CudaLibraryTest, TheFirstPlaceThatExistsWins) {
  const std::string path = NewFolder("second") + "/libhmar_cuda.so";
  std::ofstream(path) << "no library";
  EXPECT_TRUE(OpenCudaLibrary({"/no/such.so", HMAR_FAKE_CUDA_LIBRARY, path}).ok());
  EXPECT_FALSE(OpenCudaLibrary({path, HMAR_FAKE_CUDA_LIBRARY}).ok());
}

}  // namespace
}  // namespace hmar
