#include "client/wire_check.h"

#include <gtest/gtest.h>

#include <limits>

#include "google/protobuf/io/zero_copy_stream_impl_lite.h"
#include "hmar/v1/image_generation.pb.h"
#include "tests/client/fake_service.h"

namespace hmar {
namespace {

constexpr uint32_t kAny = std::numeric_limits<uint32_t>::max();

absl::Status Check(const std::string& bytes, uint32_t max_fields) {
  // In blocks, as they come from a connection.
  google::protobuf::io::ArrayInputStream stream(bytes.data(), static_cast<int>(bytes.size()), 7);
  return CheckFieldCount(*v1::GenerateResponse::descriptor(), stream, max_fields);
}

TEST(WireCheckTest, AMessagePassesUpToTheNumberOfItsFields) {
  v1::GenerateResponse event;  // image: 1
  v1::Image& image = *event.mutable_image();
  image.set_image_index(300);                                    // 2
  image.mutable_picture()->set_data("\x0a\x0a\x0a");             // 3, 4: bytes are not looked into.
  image.add_tokens()->add_tokens(1);                             // 5, 6
  image.add_tokens();                                            // 7
  image.mutable_receipt()->set_seed(7);                          // 8, 9
  image.mutable_receipt()->mutable_sampling()->set_top_p(0.5F);  // 10, 11
  const std::string bytes = event.SerializeAsString();
  EXPECT_TRUE(Check(bytes, 11).ok()) << Check(bytes, 11);
  EXPECT_EQ(Check(bytes, 10), absl::DataLossError("a GenerateResponse of more than 10 fields"));
}

TEST(WireCheckTest, EveryEventOfAStreamPasses) {
  for (const v1::GenerateResponse& event :
       StreamOf(2, 7, v1::OutputOptions::FORMAT_PNG, Previews::kAllButTheLast)) {
    EXPECT_TRUE(Check(event.SerializeAsString(), 100).ok());
  }
  EXPECT_TRUE(Check("", 0).ok());
}

TEST(WireCheckTest, FieldsThatTheTypeDoesNotHaveCountToo) {
  // Number 15, as each wire type: a varint, 8 bytes, a string, a group of one varint, 4 bytes.
  const std::string bytes(
      "\x78\x01\x79"
      "12345678"
      "\x7a\x01x\x7b\x78\x01\x7c\x7d"
      "1234");
  EXPECT_TRUE(Check(bytes, 7).ok()) << Check(bytes, 7);
  EXPECT_FALSE(Check(bytes, 6).ok());
}

TEST(WireCheckTest, BytesThatAreNoMessageAreRefused) {
  for (const std::string& bytes :
       {std::string("\x00\x00", 2), std::string("\x1a"), std::string("\x1a\x05\x08"),
        std::string("\x78"), std::string("\x78\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"),
        std::string("\x79"
                    "1234567"),
        std::string("\x7e"), std::string("\x7f"),
        std::string("\x1a\xff\xff\xff\xff\x0f"),  // A length of 2^32 - 1.
        std::string("\x1a\x02\x2a\x05"
                    "abcde")}) {  // What is inside is longer than what is outside.
    EXPECT_EQ(Check(bytes, kAny), absl::DataLossError("bytes that are no GenerateResponse"));
  }
}

TEST(WireCheckTest, EveryTruncationOfAnEventPassesOrIsRefusedWithoutACrash) {
  const std::string bytes = StreamOf(1, 7, v1::OutputOptions::FORMAT_PNG)[1].SerializeAsString();
  for (size_t size = 1; size < bytes.size(); ++size) {
    EXPECT_FALSE(Check(bytes.substr(0, size), kAny).ok()) << size;
  }
}

}  // namespace
}  // namespace hmar
