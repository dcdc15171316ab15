#include "server/http/body_reader.h"

#include <gtest/gtest.h>

#include <string>

#include "absl/strings/str_cat.h"

namespace hmar {
namespace {

constexpr size_t kMax = 100;

RequestHead Chunked() {
  RequestHead head;
  head.chunked = true;
  return head;
}

RequestHead OfLength(uint64_t length) {
  RequestHead head;
  head.content_length = length;
  return head;
}

// Of a chunked body that comes in pieces of `step` bytes: the fault's status, or 0.
int StatusOf(absl::string_view text, size_t step = 1000, std::string* body = nullptr) {
  BodyReader reader(Chunked(), kMax);
  while (!text.empty() && !reader.complete()) {
    absl::string_view piece = text.substr(0, step);
    const size_t size = piece.size();
    if (const auto fault = reader.Feed(&piece)) return fault->status;
    text.remove_prefix(size - piece.size());
  }
  if (body != nullptr) *body = reader.body();
  return reader.complete() ? 0 : -1;
}

TEST(BodyReaderTest, TakesAsManyBytesAsWereAnnounced) {
  BodyReader reader(OfLength(5), kMax);
  absl::string_view bytes = "abc";
  ASSERT_FALSE(reader.Feed(&bytes).has_value());
  EXPECT_FALSE(reader.complete());
  EXPECT_EQ(reader.missing(), 2u);
  bytes = "deGET /";
  ASSERT_FALSE(reader.Feed(&bytes).has_value());
  EXPECT_TRUE(reader.complete());
  EXPECT_EQ(reader.body(), "abcde");
  EXPECT_EQ(bytes, "GET /");
}

TEST(BodyReaderTest, WithoutABodyThereIsNothingToWaitFor) {
  EXPECT_TRUE(BodyReader(OfLength(0), kMax).complete());
  EXPECT_TRUE(BodyReader(RequestHead(), kMax).complete());
}

TEST(BodyReaderTest, RefusesALengthAboveTheBoundBeforeAnythingIsKept) {
  BodyReader reader(OfLength(kMax + 1), kMax);
  absl::string_view bytes = "a";
  const auto fault = reader.Feed(&bytes);
  ASSERT_TRUE(fault.has_value());
  EXPECT_EQ(fault->status, 413);
  EXPECT_EQ(reader.size(), 0u);
}

TEST(BodyReaderTest, PutsChunksTogetherHoweverTheyCome) {
  const std::string text = "3\r\nabc\r\n00A;ext=1\r\n0123456789\r\n0\r\ntrailer: x\r\n\r\n";
  for (size_t step = 1; step <= text.size(); ++step) {
    std::string body;
    EXPECT_EQ(StatusOf(text, step, &body), 0) << step;
    EXPECT_EQ(body, "abc0123456789") << step;
  }
}

TEST(BodyReaderTest, RefusesChunksThatAreNone) {
  for (const char* text :
       {"\r\n", "x\r\n", "-1\r\n", "+1\r\n", "0x1\r\n", " 1\r\n", "1 \r\n", ";a\r\n", "1\na",
        "3\r\nabcd\r\n", "3\r\nabc\n", "123456789\r\n", "0\r\na\n\r\n"}) {
    EXPECT_EQ(StatusOf(text), 400) << text;
  }
}

TEST(BodyReaderTest, ChunksStayWithinTheBound) {
  const std::string half(kMax / 2, 'a');
  const std::string chunk = absl::StrCat(absl::Hex(half.size()), "\r\n", half, "\r\n");
  EXPECT_EQ(StatusOf(chunk + chunk + "0\r\n\r\n"), 0);
  EXPECT_EQ(StatusOf(chunk + chunk + "1\r\n"), 413);
  EXPECT_EQ(StatusOf("ffffffff\r\n"), 413);
}

TEST(BodyReaderTest, WhatIsNoDataIsBoundedToo) {
  EXPECT_EQ(StatusOf("1;" + std::string(300, 'x') + "\r\n"), 400);
  EXPECT_EQ(StatusOf(std::string(300, '1')), 400) << "a line without an end";
  std::string trailers = "0\r\n";
  for (int i = 0; i < 1000; ++i) trailers += "trailer: " + std::string(200, 'x') + "\r\n";
  EXPECT_EQ(StatusOf(trailers), 400);
}

}  // namespace
}  // namespace hmar
