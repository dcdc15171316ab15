// That an upload's bytes are gone once it has been read, though its call goes on: counted by
// malloc.

#include <gtest/gtest.h>
#include <malloc.h>

#include <memory>
#include <string>
#include <vector>

#include "tests/server/test_server.h"
#include "tests/server/uploads/png_maker.h"

namespace hmar {
namespace {

constexpr size_t kUploadBytes = 4 << 20;
constexpr size_t kStreams = 6;

int64_t AllocatedBytes() {
  const struct mallinfo2 info = mallinfo2();
  return static_cast<int64_t>(info.uordblks + info.hblkhd);
}

// Its PNG is mostly a chunk that nobody reads.
v1::GenerateRequest LargeEdit(uint64_t seed) {
  auto chunks = SplitChunks(MakePng({.width = 12, .height = 12}, std::vector<uint16_t>(432, 7)));
  chunks.insert(chunks.end() - 1, {"quUx", std::string(kUploadBytes, 'q')});
  v1::GenerateRequest request = SmallRequest(seed);
  request.mutable_edit()->set_image(JoinChunks(chunks));
  request.mutable_edit()->mutable_box()->set_x1(6);
  request.mutable_edit()->mutable_box()->set_y1(12);
  return request;
}

struct Stream {
  grpc::ClientContext context;
  std::unique_ptr<grpc::ClientReader<v1::GenerateResponse>> reader;
};

TEST(UploadBytesTest, AStreamHoldsNoUploadOnceItHasBeenAccepted) {
  TestServer server;
  Generate(server.stub(), LargeEdit(99));  // Connects.
  server.engine().CloseGate();
  const int64_t before = AllocatedBytes();
  if (before == 0) GTEST_SKIP() << "the sanitizer's malloc does not count";
  std::vector<Stream> streams(kStreams);
  for (Stream& stream : streams) {
    stream.reader = server.stub().Generate(&stream.context, LargeEdit(&stream - streams.data()));
    v1::GenerateResponse event;
    ASSERT_TRUE(stream.reader->Read(&event));
    EXPECT_TRUE(event.has_accepted());
  }
  EXPECT_LT(AllocatedBytes() - before, int64_t{2 * kUploadBytes});
  server.engine().OpenGate();
  for (Stream& stream : streams) {
    for (v1::GenerateResponse event; stream.reader->Read(&event);) continue;
    EXPECT_TRUE(stream.reader->Finish().ok());
  }
}

}  // namespace
}  // namespace hmar
