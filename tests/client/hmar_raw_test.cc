// `hmar` against servers that send bytes, whether they are messages or not, or frames.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <utility>

#include "tests/client/frame_server.h"
#include "tests/client/hmar_hostile_fixture.h"
#include "tests/client/raw_server.h"

namespace hmar {
namespace {

using ::testing::HasSubstr;

class HmarRawTest : public HmarHostileTest {
 protected:
  ProcessResult AttackWith(const std::string& method, RawAnswer answer,
                           std::vector<std::string> arguments) {
    raw_.SetAnswer(method, std::move(answer));
    arguments.insert(arguments.end(), {"--server", raw_.address()});
    return Attack(arguments);
  }

  RawServer raw_;
};

constexpr char kGenerate[] = "/hmar.v1.ImageGenerationService/Generate";
constexpr char kListModels[] = "/hmar.v1.ImageGenerationService/ListModels";
constexpr char kWatch[] = "/grpc.health.v1.Health/Watch";

TEST_F(HmarRawTest, FewBytesDoNotBecomeManyObjects) {
  // Two million models that are empty; eight million scales without tokens.
  EXPECT_EQ(AttackWith(kListModels,
                       {.messages = {Repeated(std::string("\x0a\0", 2), 2'000'000)}, .status = {}},
                       {"models"})
                .exit_code,
            1);
  const std::string image("\x1a\x80\x80\x80\x08", 5);  // Of 16 MiB.
  grpc::ByteBuffer event = Repeated(std::string("\x22\0", 2), 8 << 20);
  std::vector<grpc::Slice> slices;
  ASSERT_TRUE(event.Dump(&slices).ok());
  slices.insert(slices.begin(), grpc::Slice(image));
  EXPECT_EQ(AttackWith(kGenerate,
                       {.messages = {grpc::ByteBuffer(slices.data(), slices.size())}, .status = {}},
                       {"generate", "--out", Path("out")})
                .exit_code,
            1);
}

TEST_F(HmarRawTest, CompressedMessagesAreNotInflated) {
  // 330 MB in a third of one.
  EXPECT_EQ(AttackWith(kGenerate,
                       {.messages = {Repeated(std::string(1, '\0'), 330'000'000)},
                        .status = {},
                        .compression = GRPC_COMPRESS_GZIP},
                       {"generate", "--out", Path("out")})
                .exit_code,
            1);
}

TEST_F(HmarRawTest, BytesThatAreNoTextAreAnError) {
  // accepted { model: "\xff" }: it would be written to the tokens file.
  const RawAnswer answer{.messages = {Repeated("\x0a\x03\x12\x01\xff", 1)}, .status = {}};
  EXPECT_EQ(AttackWith(kGenerate, answer,
                       {"generate", "--out", Path("out"), "--save-tokens", Path("t.json")})
                .exit_code,
            1);
}

TEST_F(HmarRawTest, AServerThatSendsTheClientAwayIsNotAskedInALoop) {
  EXPECT_EQ(AttackWith(kWatch, {.messages = {}, .status = {grpc::StatusCode::UNAVAILABLE, ""}},
                       {"health", "--wait", "1"})
                .exit_code,
            3);
  EXPECT_LE(raw_.calls(), 10);  // Of hundreds.
}

// Headers of a reply that gRPC reads itself.
class HmarHeaderTest : public HmarHostileTest {
 protected:
  ProcessResult AttackWith(const std::vector<std::pair<std::string, std::string>>& headers) {
    const FrameServer server(TrailersOnly(headers));
    return Attack({"models", "--server", server.address()});
  }
};

TEST_F(HmarHeaderTest, WhatGrpcLogsOfThemIsEscaped) {
  const ProcessResult result = AttackWith({{":status", kTerminal}});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(result.error, HasSubstr("hmar: gRPC: "));
  EXPECT_THAT(result.error, HasSubstr("a\\u001B[2J"));
}

TEST_F(HmarHeaderTest, NoneOfThemEndsTheProcess) {
  for (const char* name :
       {":status", "content-type", "grpc-accept-encoding", "grpc-encoding", "grpc-message",
        "grpc-previous-rpc-attempts", "grpc-retry-pushback-ms", "grpc-server-stats-bin",
        "grpc-status", "grpc-status-details-bin", "grpc-timeout", "host", "te", "x"}) {
    for (const std::string& value : {std::string(kTerminal), std::string(), std::string("-1")}) {
      const int exit_code = AttackWith({{name, value}}).exit_code;
      EXPECT_TRUE(exit_code == 1 || exit_code == 3) << name << ": " << exit_code;
    }
  }
}

}  // namespace
}  // namespace hmar
