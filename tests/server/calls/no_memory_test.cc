// What happens when there is no memory: the program's own operator new fails when it is told to.

#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <new>
#include <string>
#include <vector>

#include "server/base/errors.h"
#include "server/calls/prepared_edit.h"
#include "tests/fakes/fake_engine.h"
#include "tests/server/grpc_details.h"
#include "tests/server/test_server.h"
#include "tests/server/uploads/png_maker.h"

namespace {

thread_local int64_t allocations_left = -1;     // Of this thread, before one fails; -1: none will.
std::atomic<size_t> failing_bytes = size_t{0};  // The size of the one that fails; 0: none will.

void* Allocate(size_t bytes) {
  if (allocations_left >= 0 && allocations_left-- == 0) throw std::bad_alloc();
  if (size_t failing = failing_bytes; failing == bytes && failing != 0) {
    if (failing_bytes.compare_exchange_strong(failing, 0)) throw std::bad_alloc();
  }
  void* memory = std::malloc(bytes);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

}  // namespace

void* operator new(size_t bytes) { return Allocate(bytes); }
void* operator new[](size_t bytes) { return Allocate(bytes); }
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete[](void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, size_t) noexcept { std::free(memory); }
void operator delete[](void* memory, size_t) noexcept { std::free(memory); }

namespace hmar {
namespace {

constexpr uint32_t kSide = 12;

std::string Png() {
  return MakePng({.width = kSide, .height = kSide}, std::vector<uint16_t>(kSide * kSide * 3, 9));
}

v1::GenerateRequest EditRequest() {
  v1::GenerateRequest request = SmallRequest(5);
  request.mutable_edit()->set_image(Png());
  request.mutable_edit()->mutable_box()->set_x1(6);
  request.mutable_edit()->mutable_box()->set_y1(12);
  return request;
}

// Whichever of its allocations fails, the answer is an edit or OUT_OF_MEMORY.
TEST(NoMemoryTest, AnEditIsPreparedWhollyOrNot) {
  const ModelConfig config = FakeEngineInfo().config;
  const EditChoice choice;
  const EditUpload upload{Png(), GenerateMask{Png()}};
  int64_t failed = 0;
  for (int64_t allocation = 0;; ++allocation) {
    ASSERT_LT(allocation, 10'000);
    allocations_left = allocation;
    const auto edit = PrepareEdit(upload, choice, config, UploadLimits{}, "");
    const bool all_had_memory = allocations_left >= 0;
    allocations_left = -1;
    if (all_had_memory) {
      EXPECT_TRUE(edit.ok()) << edit.status();
      break;
    }
    if (edit.ok()) continue;  // It was not needed in the end.
    ++failed;
    EXPECT_EQ(ReasonName(edit.status()), "OUT_OF_MEMORY") << allocation << edit.status();
  }
  EXPECT_GT(failed, 10);  // Picture, region, keep maps, compositor, digest.
}

// A compositor that had no memory for a smaller picture makes it the next time.
TEST(NoMemoryTest, ACompositorIsAsItWas) {
  EditSource source{{kSide, kSide, std::vector<uint8_t>(432, 200)},
                    Region(size_t{kSide} * kSide, 0)};
  const Compositor compositor(source, 0);
  Picture preview{4, 4, std::vector<uint8_t>(48, 1)};
  allocations_left = 3;
  EXPECT_THROW(compositor.Apply(&preview), std::bad_alloc);
  allocations_left = -1;
  compositor.Apply(&preview);
  EXPECT_EQ(preview.rgb, std::vector<uint8_t>(48, 200));
}

void ExpectOutOfMemoryThenFine(size_t bytes, const v1::GenerateRequest& request) {
  TestServer server;
  Generate(server.stub(), request);  // What is allocated once is.
  failing_bytes = bytes;
  const StreamResult result = Generate(server.stub(), request);
  EXPECT_EQ(failing_bytes.exchange(0), 0u) << "nothing took " << bytes << " bytes";
  EXPECT_EQ(result.status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(ReasonIn(result.status), "OUT_OF_MEMORY");
  EXPECT_TRUE(Generate(server.stub(), request).status.ok());
}

TEST(NoMemoryTest, ACompositorWithoutMemoryEndsItsRequestNotTheServer) {
  ExpectOutOfMemoryThenFine(kSide * kSide * sizeof(float), EditRequest());
}

TEST(NoMemoryTest, AFinishedPictureWithoutMemoryEndsItsRequestNotTheServer) {
  ExpectOutOfMemoryThenFine(kSide * kSide * 3 + 1, EditRequest());  // Its bytes as a string.
}

}  // namespace
}  // namespace hmar
