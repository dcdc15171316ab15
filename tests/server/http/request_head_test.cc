#include "server/http/request_head.h"

#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"

namespace hmar {
namespace {

constexpr char kHost[] = "host: a\r\n";

int StatusOf(absl::string_view text) {
  RequestHead head;
  const auto fault = ReadHead(text, &head);
  return fault.has_value() ? fault->status : 0;
}

std::string Get(absl::string_view headers) {
  return absl::StrCat("GET / HTTP/1.1\r\n", kHost, headers, "\r\n");
}

TEST(RequestHeadTest, ReadsWhatAClientSays) {
  RequestHead head;
  ASSERT_FALSE(
      ReadHead("POST /v1/images/edits?x=%20 HTTP/1.1\r\nHost: a:1\r\nX-Thing: \t one two \r\n"
               "Content-Length: 12\r\nExpect: 100-Continue\r\n\r\n",
               &head)
          .has_value());
  EXPECT_EQ(head.method, "POST");
  EXPECT_EQ(head.path, "/v1/images/edits");
  EXPECT_EQ(head.target, "/v1/images/edits?x=%20");
  EXPECT_EQ(head.Header("x-thing"), "one two");
  EXPECT_EQ(head.Header("absent"), "");
  EXPECT_EQ(head.content_length, 12u);
  EXPECT_TRUE(head.expects_continue);
  EXPECT_TRUE(head.keep_alive);
  EXPECT_FALSE(head.chunked);
}

TEST(RequestHeadTest, KnowsWhoseConnectionEnds) {
  RequestHead head;
  ASSERT_FALSE(ReadHead(Get("connection: x, Close\r\n"), &head).has_value());
  EXPECT_FALSE(head.keep_alive);
  ASSERT_FALSE(ReadHead("GET / HTTP/1.0\r\n\r\n", &head).has_value());
  EXPECT_FALSE(head.keep_alive);
  EXPECT_TRUE(head.http_1_0);
}

TEST(RequestHeadTest, FindsItsEndHoweverItComes) {
  const std::string text = Get("a: b\r\n") + "body";
  for (size_t size = 0; size <= text.size(); ++size) {
    const size_t end =
        FindHeadEnd(absl::string_view(text).substr(0, size), size == 0 ? 0 : size - 1);
    EXPECT_EQ(end, size == text.size() - 4 ? size : 0) << size;
    if (end > 0) return;
  }
  FAIL() << "no end";
}

// Each is a request that two readers in a row could take for different ones.
TEST(RequestHeadTest, RefusesWhatCouldBeReadInTwoWays) {
  for (const char* headers : {
           "content-length: 5\r\ntransfer-encoding: chunked\r\n",
           "content-length: 5\r\ncontent-length: 5\r\n",
           "transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n",
           "content-length: +5\r\n",
           "content-length: 5, 5\r\n",
           "content-length: 0x5\r\n",
           "content-length: 5\v\r\n",
           "transfer-encoding:\fchunked\r\n",
           "content-length:\r\n",
           "content-length: 9999999999999999999999\r\n",
           "content-length : 5\r\n",
           " content-length: 5\r\n",
           "a: b\r\n c\r\n",
           "a: b\nc: d\r\n",
           "a: b\rc\r\n",
           "no colon\r\n",
           ": nameless\r\n",
           "host: b\r\n",
           "authorization: a\r\nauthorization: b\r\n",
       }) {
    EXPECT_EQ(StatusOf(Get(headers)), 400) << headers;
  }
  EXPECT_EQ(StatusOf(Get(absl::string_view("a: \0b\r\n", 7))), 400);
  EXPECT_EQ(StatusOf("GET / HTTP/1.1\r\n\r\n"), 400) << "no host";
  EXPECT_EQ(StatusOf("POST / HTTP/1.0\r\ntransfer-encoding: chunked\r\n\r\n"), 400);
  EXPECT_EQ(StatusOf(Get("transfer-encoding: gzip, chunked\r\n")), 501);
  EXPECT_EQ(StatusOf(Get("expect: the-worst\r\n")), 417);
}

TEST(RequestHeadTest, RefusesRequestLinesThatAreNone) {
  for (const char* line :
       {"", "GET", "GET /", "GET  / HTTP/1.1", "GET / HTTP/1.1 ", " GET / HTTP/1.1",
        "G@T / HTTP/1.1", "GET http://a/ HTTP/1.1", "GET a HTTP/1.1", "GET /a\tb HTTP/1.1",
        "GET /\xff HTTP/1.1", "GET / SPDY/3"}) {
    EXPECT_EQ(StatusOf(absl::StrCat(line, "\r\n", kHost, "\r\n")), 400) << line;
  }
  EXPECT_EQ(StatusOf(absl::StrCat("GET / HTTP/2.0\r\n", kHost, "\r\n")), 505);
  const std::string longest(kMaxTargetBytes, '/');
  EXPECT_EQ(StatusOf(absl::StrCat("GET ", longest, " HTTP/1.1\r\n", kHost, "\r\n")), 0);
  EXPECT_EQ(StatusOf(absl::StrCat("GET ", longest, "/ HTTP/1.1\r\n", kHost, "\r\n")), 414);
}

TEST(RequestHeadTest, BoundsTheNumberOfHeaders) {
  std::string headers;
  for (size_t i = 1; i < kMaxHeaders; ++i) absl::StrAppend(&headers, "x: y\r\n");
  EXPECT_EQ(StatusOf(Get(headers)), 0);
  EXPECT_EQ(StatusOf(Get(headers + "x: y\r\n")), 431);
}

}  // namespace
}  // namespace hmar
