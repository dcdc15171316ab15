#include "client/upload_header.h"

#include <gtest/gtest.h>

#include "client/client.h"
#include "tests/client/fake_service.h"

namespace hmar {
namespace {

v1::GenerateRequest EditOf(const std::string& picture) {
  v1::GenerateRequest request;
  request.mutable_edit()->set_image(picture);
  return request;
}

TEST(UploadHeaderTest, APictureIsTheBeginningOfItsHash) {
  EXPECT_EQ(UploadOf(EditOf("abc")), "ba7816bf8f01cfea");  // The example of FIPS 180-2.
  EXPECT_EQ(UploadOf({}), "");
}

TEST(UploadHeaderTest, EditsSayItAndOtherCallsDoNot) {
  FakeServer server;
  server.service().SetScript(
      {.events = StreamOf(1, 7, v1::OutputOptions::FORMAT_PNG), .status = {}});
  Client client(server.address());
  ASSERT_TRUE(client.GenerateImages(EditOf("abc")).ok());
  EXPECT_EQ(server.service().last_upload(), "ba7816bf8f01cfea");
  const auto ignore = [](const v1::GenerateResponse&) { return absl::OkStatus(); };
  ASSERT_TRUE(client.Generate({}, ignore).ok());
  EXPECT_EQ(server.service().last_upload(), "");
  ASSERT_TRUE(client.Generate(EditOf("abc"), ignore).ok());
  EXPECT_EQ(server.service().last_upload(), "ba7816bf8f01cfea");
}

}  // namespace
}  // namespace hmar
