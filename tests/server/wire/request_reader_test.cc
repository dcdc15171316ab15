#include "server/wire/request_reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "hmar/v1/image_generation.pb.h"
#include "server/wire/status_details.h"
#include "tests/server/grpc_details.h"

namespace hmar {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr uint32_t kMillions = 4 << 20;

std::string Varint(uint64_t value) {
  std::string bytes;
  for (; value >= 0x80; value >>= 7) bytes += static_cast<char>(value | 0x80);
  return bytes + static_cast<char>(value);
}

// A length-delimited field.
std::string Field(uint32_t number, const std::string& bytes) {
  return Varint(number << 3 | 2) + Varint(bytes.size()) + bytes;
}

std::string Times(uint32_t count, const std::string& bytes) {
  std::string all;
  all.reserve(count * bytes.size());
  for (uint32_t i = 0; i < count; ++i) all += bytes;
  return all;
}

// In slices of `slice_bytes`, as the network would cut them.
grpc::ByteBuffer Buffer(const std::string& bytes, size_t slice_bytes = 8192) {
  std::vector<grpc::Slice> slices;
  for (size_t at = 0; at < bytes.size(); at += slice_bytes) {
    slices.emplace_back(bytes.substr(at, slice_bytes));
  }
  return {slices.data(), slices.size()};
}

template <typename Message>
absl::Status Read(const std::string& bytes, Message* message) {
  return ReadRequest(Buffer(bytes), message);
}

v1::GenerateRequest FullRequest() {
  v1::GenerateRequest request;
  request.set_model("m");
  request.set_class_name("ship");
  request.set_seed(~uint64_t{0});
  request.mutable_sampling()->set_cfg_scale(1.5);
  for (int i = 0; i < 9; ++i) {
    auto* scale = request.mutable_sampling()->mutable_mask_schedule()->add_scales();
    for (int j = 0; j <= i; ++j) scale->add_tokens(1000 * j);
  }
  request.mutable_previews()->add_scales(3);
  request.mutable_edit()->set_image(std::string(100'000, '\xff'));
  request.mutable_edit()->mutable_box()->set_x1(7);
  request.mutable_prefix()->add_tokens()->add_tokens(5);
  request.set_request_id("id");
  return request;
}

TEST(RequestReaderTest, ARequestArrivesWholeHoweverItWasCut) {
  const std::string bytes = FullRequest().SerializeAsString();
  for (const size_t slice_bytes : {1, 2, 7, 8192, 1 << 20}) {
    v1::GenerateRequest read;
    ASSERT_TRUE(ReadRequest(Buffer(bytes, slice_bytes), &read).ok()) << slice_bytes;
    EXPECT_EQ(read.SerializeAsString(), bytes) << slice_bytes;
  }
}

TEST(RequestReaderTest, NothingIsAnEmptyRequest) {
  v1::GenerateRequest read;
  EXPECT_TRUE(Read("", &read).ok());
}

TEST(RequestReaderTest, FieldsOfALaterVersionAreNoFault) {
  v1::GenerateRequest read;
  EXPECT_TRUE(Read(Field(1, "m") + Field(500, "later") + Varint(501 << 3) + Varint(7), &read).ok());
  EXPECT_EQ(read.model(), "m");
}

TEST(RequestReaderTest, WhatIsNoMessageIsRefused) {
  const std::string whole = FullRequest().SerializeAsString();
  for (const std::string& bytes :
       {std::string("\xff\xff\xff\xff not a message"), std::string(1, '\0'),
        whole.substr(0, whole.size() - 1), Field(7, "\x12\x05\x01"), Field(7, "\x12\x02\x80\x80"),
        Field(12, "\xff"), std::string("\x0b\x0c"), std::string("\x0c"), std::string("\x0a"),
        std::string("\x0a\xff\xff\xff\xff\x0f"), Varint(500 << 3 | 5) + "abc"}) {
    v1::GenerateRequest read;
    const absl::Status status = Read(bytes, &read);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_EQ(ReasonName(status), "MESSAGE_INVALID");
    EXPECT_THAT(std::string(status.message()), HasSubstr("hmar.v1.GenerateRequest"));
    EXPECT_EQ(read.ByteSizeLong(), 0u);  // Not half a request.
  }
}

TEST(RequestReaderTest, ABufferThatHoldsNothingIsRefused) {
  v1::GenerateRequest read;
  EXPECT_EQ(ReasonName(ReadRequest(grpc::ByteBuffer(), &read)), "MESSAGE_INVALID");
}

struct Flood {
  const char* name;
  std::string bytes;
  const char* field;  // What the error names.
};

// All that protobuf would keep an object for. Most take 2 bytes each on the wire.
std::vector<Flood> Floods() {
  const std::string ones(kMillions, '\x01');
  const std::string empties = Times(kMillions, Field(2, ""));
  return {
      {"packed entries", Field(7, Field(2, ones)), "previews.scales"},
      {"packed entries in many fields", Times(kMillions / 4, Field(7, Field(2, "\x01\x02\x03"))),
       "previews.scales"},
      {"entries one by one", Field(7, Times(kMillions, "\x10\x01")), "previews.scales"},
      {"empty messages", Field(10, Times(kMillions, Field(1, ""))), "prefix.tokens"},
      {"a deep list", Field(6, Field(5, empties)), "sampling.mask_schedule.scales"},
      {"tokens of one scale", Field(10, Field(1, Field(1, ones))), "prefix.tokens.tokens"},
      {"a field again and again", Times(kMillions, "\x20\x07"), "seed"},
      {"a message again and again", Times(kMillions, Field(8, "")), "output"},
      {"unknown strings", Times(kMillions, Field(90, "")), "GenerateRequest"},
      {"unknown numbers", Times(kMillions, Varint(90 << 3) + "\x01"), "GenerateRequest"},
      {"unknown fields of a part", Field(9, Times(kMillions, Field(90, ""))), "edit"},
      {"numbers where a message belongs", Times(kMillions, "\x30\x01"), "sampling"},
  };
}

TEST(RequestReaderTest, MillionsOfItemsAreRefusedBeforeTheyAreParsed) {
  for (const Flood& flood : Floods()) {
    v1::GenerateRequest read;
    const absl::Status status = Read(flood.bytes, &read);
    EXPECT_EQ(ReasonName(status), "FIELD_OUT_OF_RANGE") << flood.name;
    const grpc::Status sent = ToGrpcStatus(status, "id");
    EXPECT_THAT(FieldsIn(sent), ElementsAre(flood.field)) << flood.name;
    EXPECT_THAT(sent.error_message(), HasSubstr(absl::StrCat(kMaxRequestItems))) << flood.name;
    EXPECT_EQ(read.SpaceUsedLong(), v1::GenerateRequest().SpaceUsedLong()) << flood.name;
  }
}

TEST(RequestReaderTest, AUnaryRequestIsBoundedAsAWhole) {
  v1::GenerateImagesRequest read;
  const absl::Status status =
      Read(Field(1, Field(7, Field(2, std::string(kMillions, '\x01')))), &read);
  EXPECT_THAT(FieldsIn(ToGrpcStatus(status, "id")), ElementsAre("request.previews.scales"));
}

TEST(RequestReaderTest, TheLargestCountIsAllowed) {
  const uint32_t entries = kMaxRequestItems - 2;  // Beside previews and previews.scales.
  v1::GenerateRequest read;
  ASSERT_TRUE(Read(Field(7, Field(2, std::string(entries, '\x01'))), &read).ok());
  EXPECT_EQ(read.previews().scales_size(), static_cast<int>(entries));
  EXPECT_FALSE(Read(Field(7, Field(2, std::string(entries + 1, '\x01'))), &read).ok());
}

}  // namespace
}  // namespace hmar
