// An engine whose device is lost. A program of its own: nothing on the device works in it
// afterwards.

#include <gtest/gtest.h>

#include "model/cuda_engine.h"
#include "model/model_folder.h"
#include "tests/kernels/device_array.h"
#include "tests/kernels/trap.h"

namespace hmar {
namespace {

TEST(CudaLostTest, EveryStepSaysUnavailable) {
  HMAR_SKIP_WITHOUT_GPU();
  auto folder = OpenModelFolder("deploy/models/hmar-cifar10");
  ASSERT_TRUE(folder.ok()) << folder.status();
  CudaEngineOptions options;
  options.max_images = 4;
  auto engine = MakeCudaEngine(*std::move(folder), options);
  ASSERT_TRUE(engine.ok()) << engine.status();
  ImageTask task;
  task.sampling = (*engine)->info().config.sampling;
  ASSERT_TRUE((*engine)->Admit(1, task).ok());
  ASSERT_TRUE((*engine)->Step({1}).ok());
  LoseDevice();
  // The engine is a step ahead of its device, so the first step after the trap may still be
  // launched.
  absl::Status status;
  for (int i = 0; i < 3 && status.ok(); ++i) status = (*engine)->Step({1}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable) << status;
  EXPECT_EQ((*engine)->Step({}).status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ((*engine)->Encode({}).status().code(), absl::StatusCode::kUnavailable);
  (*engine)->Cancel(1);
}

}  // namespace
}  // namespace hmar
