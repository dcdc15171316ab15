// Bodies to fields: JSON and multipart.

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/http/form_fields.h"
#include "server/http/json_reader.h"
#include "server/http/multipart_reader.h"

namespace hmar {
namespace {

constexpr char kType[] = "multipart/form-data; boundary=B";

std::string FaultOf(absl::string_view text) {
  nlohmann::json json;
  const auto fault = ReadJson(text, &json);
  return fault.has_value() ? fault->message : "";
}

std::string PartOf(absl::string_view name, absl::string_view data) {
  return absl::StrCat("--B\r\nContent-Disposition: form-data; name=\"", name, "\"\r\n\r\n", data,
                      "\r\n");
}

int StatusOf(absl::string_view body, absl::string_view type = kType) {
  FormFields fields;
  const auto fault = ReadMultipartForm(body, type, &fields);
  return fault.has_value() ? fault->status : 0;
}

TEST(JsonReaderTest, ReadsAnObject) {
  nlohmann::json json;
  ASSERT_FALSE(ReadJson(R"({"a": [1, 2.5, null], "b": {"a": "x"}, "c": true})", &json).has_value());
  EXPECT_EQ(json["a"].size(), 3u);
  EXPECT_EQ(json["b"]["a"], "x");
}

TEST(JsonReaderTest, RefusesAnythingElse) {
  for (const char* text : {"", " ", "1", "\"a\"", "[]", "null", "{", "{}}", "{\"a\":}",
                           "{\"a\":1,}", "{\"a\":1 \"b\":2}", "{'a':1}", "{\"a\":01}",
                           "{\"a\":nan}", "{\"a\":1e999}", "{\"a\":\"\xff\"}", "// x\n{}"}) {
    EXPECT_NE(FaultOf(text), "") << text;
  }
  EXPECT_NE(FaultOf("{\"a\":1,\"a\":2}").find("twice"), std::string::npos);
}

TEST(JsonReaderTest, CountsBeforeItBuilds) {
  const auto of_values = [](size_t count) {
    std::string text = "{\"a\":[0";
    for (size_t i = 1; i < count; ++i) text += ",0";
    return text + "]}";
  };
  EXPECT_EQ(FaultOf(of_values(kMaxJsonItems - 2)), "");  // The key and the list count.
  EXPECT_NE(FaultOf(of_values(kMaxJsonItems)).find("values"), std::string::npos);
  const auto nested = [](size_t depth) {
    return absl::StrCat("{\"a\":", std::string(depth - 1, '['), std::string(depth - 1, ']'), "}");
  };
  EXPECT_EQ(FaultOf(nested(kMaxJsonDepth)), "");
  EXPECT_NE(FaultOf(nested(kMaxJsonDepth + 1)).find("nested"), std::string::npos);
  EXPECT_NE(FaultOf("{\"a\":" + std::string(4 << 20, '[')), "");
}

TEST(MultipartReaderTest, FindsThePartsAndTheirBytes) {
  FormFields fields;
  const std::string body = PartOf("prompt", "ship") + PartOf("image", "a\r\n--b\r\n-\r\n") +
                           PartOf("empty", "") + "--B--\r\nepilogue";
  ASSERT_FALSE(ReadMultipartForm(body, kType, &fields).has_value());
  EXPECT_EQ(fields.values["prompt"], "ship");
  EXPECT_EQ(fields.values["empty"], "");
  EXPECT_EQ(fields.files["image"], "a\r\n--b\r\n-\r\n");
}

TEST(MultipartReaderTest, ReadsHeadersAsClientsWriteThem) {
  std::vector<Part> parts;
  const std::string body =
      "--a b\r\ncontent-type: image/png\r\nCONTENT-DISPOSITION: form-data; filename=\"x; name=y\"; "
      "name=image\r\n\r\nbytes\r\n--a b--\r\n";
  ASSERT_FALSE(ReadMultipart(body, "Multipart/Form-Data; charset=x; boundary=\"a b\"", &parts));
  ASSERT_EQ(parts.size(), 1u);
  EXPECT_EQ(parts[0].name, "image");
  EXPECT_EQ(parts[0].data, "bytes");
}

TEST(MultipartReaderTest, RefusesWhatIsNoForm) {
  const std::string good = PartOf("a", "b") + "--B--";
  EXPECT_EQ(StatusOf(good), 0);
  EXPECT_EQ(StatusOf(good, "application/json"), 415);
  for (const char* type :
       {"multipart/form-data",
        "multipart/form-data; boundary=", "multipart/form-data; boundary=\"B",
        "multipart/form-data; boundary=\"B \"", "multipart/form-data; boundary=B\x01"}) {
    EXPECT_EQ(StatusOf(good, type), 400) << type;
  }
  EXPECT_EQ(StatusOf(good, "multipart/form-data; boundary=" + std::string(71, 'B')), 400);
  for (const std::string& body : std::vector<std::string>{
           std::string(), std::string("--B"), "preamble\r\n" + good, PartOf("a", "b"),
           "--Bx\r\n" + good, "--B\r\n\r\nno headers\r\n--B--",
           "--B\r\nx: y\r\n\r\nno name\r\n--B--",
           "--B\r\ncontent-disposition: attachment; name=a\r\n\r\nb\r\n--B--",
           "--B\r\ncontent-disposition: form-data; name=\"a\r\n\r\nb\r\n--B--",
           "--B\r\ncontent-disposition: form-data; name=a\r\ncontent-disposition: form-data; "
           "name=b\r\n\r\nb\r\n--B--",
           "--B\r\ncontent-disposition: form-data; name=a\r\ncontent-transfer-encoding: "
           "base64\r\n\r\nb\r\n--B--",
           PartOf(std::string(65, 'a'), "") + "--B--",
           PartOf("a", "1") + PartOf("a", "2") + "--B--",
           PartOf("image[]", "1") + PartOf("image[]", "2") + "--B--"}) {
    EXPECT_EQ(StatusOf(body), 400) << body;
  }
}

TEST(MultipartReaderTest, BoundsPartsAndTheirHeads) {
  std::string body;
  for (size_t i = 0; i < kMaxParts; ++i) body += PartOf(absl::StrCat("a", i), "");
  EXPECT_EQ(StatusOf(body + "--B--"), 0);
  EXPECT_EQ(StatusOf(body + PartOf("one_more", "") + "--B--"), 400);
  const std::string head = "--B\r\nx: " + std::string(kMaxPartHeadBytes, 'x');
  EXPECT_EQ(StatusOf(head + "\r\ncontent-disposition: form-data; name=a\r\n\r\n\r\n--B--"), 400);
  EXPECT_EQ(StatusOf(PartOf("a", std::string((4 << 20) + 1, 'x')) + "--B--"), 413);
}

}  // namespace
}  // namespace hmar
