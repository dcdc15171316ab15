#include "server/devices.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace hmar {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

TEST(DevicesTest, TheCpuIsOneDevice) {
  const auto devices = ParseDevices("cpu");
  ASSERT_TRUE(devices.ok() && devices->size() == 1);
  EXPECT_EQ(devices->front().kind, Device::Kind::kCpu);
  EXPECT_EQ(devices->front().name, "cpu");
}

TEST(DevicesTest, GpusStandInTheirOrder) {
  const auto devices = ParseDevices("cuda:3,cuda:0,cuda:12");
  ASSERT_TRUE(devices.ok() && devices->size() == 3) << devices.status();
  EXPECT_EQ((*devices)[0].ordinal, 3);
  EXPECT_EQ((*devices)[1].name, "cuda:0");
  EXPECT_EQ((*devices)[2].ordinal, 12);
  EXPECT_EQ((*devices)[2].kind, Device::Kind::kCuda);
}

TEST(DevicesTest, AnythingElseIsRefusedAndNamed) {
  for (const char* bad :
       {"", "gpu", "cuda", "cuda:", "cuda:x", "cuda:-1", "cuda:+1", "cuda:01", "cuda: 1", "cuda:1,",
        ",cuda:1", "cuda:0 ,cuda:1", "cpu,cuda:0", "cuda:0,cpu", "cuda:99999", "cuda:0,cuda:0"}) {
    const absl::Status status = ParseDevices(bad).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << bad;
    EXPECT_THAT(std::string(status.message()), HasSubstr(std::string("'") + bad + "'"));
  }
  EXPECT_THAT(std::string(ParseDevices("cuda:1,cuda:1").status().message()),
              HasSubstr("cuda:1 twice"));
}

TEST(DevicesTest, PrecisionFollowsTheDevice) {
  const Device cpu{Device::Kind::kCpu, 0, "cpu"};
  const Device gpu{Device::Kind::kCuda, 2, "cuda:2"};
  EXPECT_EQ(*PrecisionOn(cpu, "auto"), "fp32");
  EXPECT_EQ(*PrecisionOn(cpu, "fp32"), "fp32");
  EXPECT_EQ(*PrecisionOn(gpu, "auto"), "bf16");
  EXPECT_EQ(*PrecisionOn(gpu, "bf16"), "bf16");
  EXPECT_EQ(*PrecisionOn(gpu, "fp8"), "fp8");
  EXPECT_THAT(std::string(PrecisionOn(cpu, "fp8").status().message()),
              AllOf(HasSubstr("--precision fp8"), HasSubstr("cpu computes in fp32")));
  EXPECT_THAT(std::string(PrecisionOn(gpu, "fp32").status().message()),
              AllOf(HasSubstr("--precision fp32"), HasSubstr("cuda:2 computes in bf16 or fp8")));
}

TEST(DevicesTest, ZeroMeansTheDevicesOwnLimits) {
  const Device cpu{Device::Kind::kCpu, 0, "cpu"};
  const Device gpu{Device::Kind::kCuda, 0, "cuda:0"};
  ServerOptions options;
  EXPECT_EQ(LimitsOf(options, cpu).max_images, 64u);
  EXPECT_EQ(LimitsOf(options, cpu).max_step_rows, 1024u);
  EXPECT_EQ(LimitsOf(options, gpu).max_images, 0u);
  EXPECT_EQ(LimitsOf(options, gpu).max_step_rows, 20480u);
  options.max_images_in_flight = 5;
  options.max_step_rows = 100;
  for (const Device& device : {cpu, gpu}) {
    EXPECT_EQ(LimitsOf(options, device).max_images, 5u);
    EXPECT_EQ(LimitsOf(options, device).max_step_rows, 100u);
  }
}

TEST(DevicesTest, EncoderThreadsAreTheCoresThatTheEnginesLeave) {
  const std::vector<Device> cpu = *ParseDevices("cpu");
  const std::vector<Device> gpu = *ParseDevices("cuda:0");
  const std::vector<Device> gpus = *ParseDevices("cuda:0,cuda:1,cuda:2,cuda:3");
  struct Case {
    const std::vector<Device>* devices;
    uint32_t threads;
    uint32_t cores;
    uint32_t expected;
  };
  const Case cases[] = {
      {&cpu, 0, 64, 1},  {&cpu, 0, 1, 1},  {&cpu, 4, 6, 2},    {&cpu, 4, 64, 8},
      {&cpu, 64, 16, 1}, {&gpu, 0, 1, 1},  {&gpu, 0, 2, 1},    {&gpu, 0, 6, 5},
      {&gpu, 0, 16, 8},  {&gpus, 0, 4, 1}, {&gpus, 0, 16, 12}, {&gpus, 0, 128, 32},
      {&gpu, 16, 16, 8},
  };
  for (const Case& c : cases) {
    ServerOptions options;
    options.threads = c.threads;
    EXPECT_EQ(EncoderThreads(options, *c.devices, c.cores), c.expected)
        << c.devices->size() << " " << c.threads << " " << c.cores;
    options.encoder_threads = 3;
    EXPECT_EQ(EncoderThreads(options, *c.devices, c.cores), 3u);
  }
}

}  // namespace
}  // namespace hmar
