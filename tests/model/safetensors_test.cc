#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <random>

#include "absl/strings/str_cat.h"
#include "model/checkpoint.h"
#include "tests/model/weight_files.h"

namespace hmar {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

// A file with one tensor entry under the name "x".
std::string OneEntry(const std::string& entry, const std::string& data = std::string(8, '\0')) {
  return Safetensors(absl::StrCat("{\"x\":", entry, "}"), data);
}

constexpr char kSound[] = R"({"dtype":"F32","shape":[2],"data_offsets":[0,8]})";

class SafetensorsTest : public ::testing::Test {
 protected:
  absl::StatusOr<std::unique_ptr<Checkpoint>> Open(const std::string& bytes) {
    return OpenSafetensors(folder_.Write("weights.safetensors", bytes));
  }

  // The message of the INVALID_ARGUMENT that opening `bytes` must give.
  std::string Error(const std::string& bytes) {
    const auto file = Open(bytes);
    EXPECT_EQ(file.status().code(), absl::StatusCode::kInvalidArgument) << file.status();
    EXPECT_THAT(std::string(file.status().message()), HasSubstr("weights.safetensors: "));
    return std::string(file.status().message());
  }

  TempFolder folder_;
};

TEST_F(SafetensorsTest, ReadsTensorsByName) {
  const auto file = Open(SafetensorsOfShapes({{"a", {2, 3}}, {"b", {1}}, {"scalar", {}}}, 1.5f));
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_EQ((*file)->tensors().size(), 3u);
  EXPECT_THAT((*file)->tensors().at("a").shape, ElementsAre(2, 3));
  EXPECT_EQ(Floats(**file, "a"), std::vector<float>(6, 1.5f));
  EXPECT_EQ(Floats(**file, "scalar"), std::vector<float>(1, 1.5f));
}

TEST_F(SafetensorsTest, IgnoresMetadataAndPadding) {
  const std::string header =
      absl::StrCat(R"({"__metadata__":{"format":"pt"},"x":)", kSound, "}      ");
  const auto file = Open(Safetensors(header, std::string(8, '\0')));
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_EQ((*file)->tensors().size(), 1u);
}

TEST_F(SafetensorsTest, ReadsTensorsWithoutElementsAndFilesWithoutTensors) {
  const auto file = Open(OneEntry(R"({"dtype":"F16","shape":[0,3],"data_offsets":[0,0]})", ""));
  ASSERT_TRUE(file.ok()) << file.status();
  std::vector<uint8_t> buffer;
  EXPECT_EQ((*file)->Read("x", &buffer)->size(), 0u);
  EXPECT_TRUE(Open(Safetensors("{}", "")).ok());
}

TEST_F(SafetensorsTest, CopiesWhatTheFileHoldsMisaligned) {
  const std::string header = R"({"a":{"dtype":"U8","shape":[3],"data_offsets":[0,3]},)"
                             R"("x":{"dtype":"F32","shape":[1],"data_offsets":[3,7]}})";
  const float value = 2.5f;
  std::string data = "abc";
  data.append(reinterpret_cast<const char*>(&value), sizeof(value));
  for (const int padding : {0, 1, 2, 3}) {
    const auto file = Open(Safetensors(header + std::string(padding, ' '), data));
    ASSERT_TRUE(file.ok()) << file.status();
    std::vector<uint8_t> buffer;
    const auto bytes = (*file)->Read("x", &buffer);
    ASSERT_TRUE(bytes.ok());
    EXPECT_EQ(reinterpret_cast<uintptr_t>(bytes->data()) % alignof(float), 0u);
    EXPECT_THAT(Floats(**file, "x"), ElementsAre(2.5f));
  }
}

TEST_F(SafetensorsTest, FollowsSymbolicLinks) {
  const std::string target = folder_.Write("target", OneEntry(kSound));
  std::filesystem::create_symlink(target, folder_ / "link.safetensors");
  EXPECT_TRUE(OpenSafetensors(folder_ / "link.safetensors").ok());
}

TEST_F(SafetensorsTest, TellsAMissingFileFromAFolderAndAPipe) {
  EXPECT_EQ(OpenSafetensors(folder_ / "none.safetensors").status().code(),
            absl::StatusCode::kNotFound);
  EXPECT_EQ(OpenSafetensors(folder_.path()).status().code(), absl::StatusCode::kInvalidArgument);
  ASSERT_EQ(mkfifo((folder_ / "pipe").c_str(), 0600), 0);
  EXPECT_EQ(OpenSafetensors(folder_ / "pipe").status().code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(SafetensorsTest, RefusesFilesTooShortForTheirHeader) {
  EXPECT_THAT(Error(""), HasSubstr("0 bytes"));
  EXPECT_THAT(Error("1234567"), HasSubstr("7 bytes"));
  const std::string sound = OneEntry(kSound);
  EXPECT_THAT(Error(sound.substr(0, 20)), HasSubstr("claims a header of"));
  EXPECT_THAT(Error(std::string(8, '\xff') + "{}"), HasSubstr("18446744073709551615"));
}

TEST_F(SafetensorsTest, RefusesAHeaderOfMoreThan100Megabytes) {
  // A sparse file: only its length is large.
  const std::string path = folder_.Write("weights.safetensors", "");
  std::filesystem::resize_file(path, 200'000'000);
  std::string length("\0\xe2\xf5\x05\0\0\0\0", 8);  // 100,000,256
  {
    FILE* const file = fopen(path.c_str(), "r+");
    ASSERT_EQ(fwrite(length.data(), 1, length.size(), file), length.size());
    fclose(file);
  }
  const absl::Status status = OpenSafetensors(path).status();
  EXPECT_THAT(std::string(status.message()), HasSubstr("at most 100000000"));
}

TEST_F(SafetensorsTest, RefusesDataCutShortOrLeftOver) {
  const std::string sound = OneEntry(kSound);
  EXPECT_THAT(Error(sound.substr(0, sound.size() - 1)), AllOf(HasSubstr("\"x\""), HasSubstr("7")));
  EXPECT_THAT(Error(sound + "!"), HasSubstr("the tensors take 8 bytes of data; the file has 9"));
}

TEST_F(SafetensorsTest, RefusesABadEntryAndNamesTensorAndFault) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {R"({"dtype":"F8_E4M3","shape":[8],"data_offsets":[0,8]})", "F8_E4M3"},
      {R"({"dtype":7,"shape":[2],"data_offsets":[0,8]})", "the number 7"},
      {R"({"shape":[2],"data_offsets":[0,8]})", "has no dtype"},
      {R"({"dtype":"F32","data_offsets":[0,8]})", "has no shape"},
      {R"({"dtype":"F32","shape":[2]})", "has no two data_offsets"},
      {R"({"dtype":"F32","shape":[2],"data_offsets":[0]})", "has no two data_offsets"},
      {R"({"dtype":"F32","shape":[2],"data_offsets":[0,8,8]})", "has no two data_offsets"},
      {R"({"dtype":"F32","shape":[3],"data_offsets":[0,8]})", "F32 (3) takes 12"},
      {R"({"dtype":"F32","shape":[-2],"data_offsets":[0,8]})", "negative number -2"},
      {R"({"dtype":"F32","shape":[2.0],"data_offsets":[0,8]})", "the number \"2.0\""},
      {R"({"dtype":"F32","shape":[1e3],"data_offsets":[0,8]})", "the number \"1e3\""},
      {R"({"dtype":"F32","shape":["2"],"data_offsets":[0,8]})", "a string"},
      {R"({"dtype":"F32","shape":[null],"data_offsets":[0,8]})", "null"},
      {R"({"dtype":"F32","shape":2,"data_offsets":[0,8]})", "the number 2"},
      {R"({"dtype":"F32","shape":[2],"data_offsets":[8,0]})", "data_offsets 8, 0"},
      {R"({"dtype":"F32","shape":[2],"data_offsets":[8,16]})", "8 bytes of data"},
      {R"({"dtype":"F32","shape":[2],"data_offsets":[0,9223372036854775808]})",
       "9223372036854775808"},
      {R"({"dtype":"F32","shape":[99999999999999999999],"data_offsets":[0,8]})", "the number"},
      {R"({"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]})",
       "impossible shape"},
      {R"({"dtype":"F32","shape":[0,4294967296,4294967296],"data_offsets":[0,0]})",
       "impossible shape"},
      {R"({"dtype":"U8","shape":[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1],"data_offsets":[0,1]})",
       "a long array"},
      {R"({"dtype":"F32","dtype":"F32","shape":[2],"data_offsets":[0,8]})", "a string"},
      {R"({"dtype":"F32","shape":[2],"shape":[2],"data_offsets":[0,8]})", "an array"},
      {R"({"dtype":"F32","shape":[2],"data_offsets":[0,8],"more":{}})", "an object"},
      {R"({"dtype":"F32","shape":[[2]],"data_offsets":[0,8]})", "an array"},
      {R"([])", "an array"},
      {R"(true)", "a boolean"},
  };
  for (const auto& [entry, fault] : cases) {
    EXPECT_THAT(Error(OneEntry(entry)), AllOf(HasSubstr("tensor \"x\""), HasSubstr(fault)))
        << entry;
  }
}

TEST_F(SafetensorsTest, RefusesOverlapsGapsAndDuplicates) {
  const auto two = [](const std::string& a, const std::string& b, int begin_b, int end_b) {
    return Safetensors(
        absl::StrCat(R"({")", a, R"(":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},")", b,
                     R"(":{"dtype":"U8","shape":[)", end_b - begin_b, R"(],"data_offsets":[)",
                     begin_b, ",", end_b, "]}}"),
        std::string(8, '\0'));
  };
  EXPECT_TRUE(Open(two("a", "b", 4, 8)).ok());
  EXPECT_THAT(Error(two("a", "b", 3, 8)), AllOf(HasSubstr("\"b\""), HasSubstr("overlaps")));
  EXPECT_THAT(Error(two("a", "b", 5, 8)), AllOf(HasSubstr("\"b\""), HasSubstr("gap")));
  EXPECT_THAT(Error(two("a", "b", 4, 7)), HasSubstr("the tensors take 7 bytes"));
  EXPECT_THAT(Error(two("a", "a", 4, 8)), HasSubstr("tensor \"a\" is there twice"));
  EXPECT_THAT(Error(two("a", "b", 0, 4)), HasSubstr("overlaps"));
}

TEST_F(SafetensorsTest, RefusesHeadersThatAreNoJsonObject) {
  EXPECT_THAT(Error(Safetensors("", "")), HasSubstr("not valid JSON"));
  EXPECT_THAT(Error(Safetensors("[1]", "")), HasSubstr("not a JSON object"));
  EXPECT_THAT(Error(Safetensors("7", "")), HasSubstr("not a JSON object"));
  EXPECT_THAT(Error(Safetensors("{\"x\":", "")), HasSubstr("not valid JSON"));
  EXPECT_THAT(Error(Safetensors("{}{}", "")), HasSubstr("not valid JSON"));
  EXPECT_THAT(Error(Safetensors("{\"\xff\xfe\":1}", "")), HasSubstr("not valid JSON"));
  EXPECT_THAT(Error(Safetensors(std::string("{\0}", 3), "")), HasSubstr("not valid JSON"));
}

TEST_F(SafetensorsTest, RefusesDeepNestingAtOnce) {
  const std::string deep(10'000'000, '[');
  EXPECT_THAT(Error(Safetensors(deep, "")), HasSubstr("not a JSON object"));
  EXPECT_THAT(Error(Safetensors("{\"x\":" + deep, "")), HasSubstr("an array"));
  EXPECT_THAT(Error(Safetensors("{\"__metadata__\":{\"k\":" + deep, "")), HasSubstr("an array"));
}

TEST_F(SafetensorsTest, EscapesNamesInErrors) {
  const std::string message =
      Error(Safetensors(R"({"bad\nname)" + std::string(1000, 'x') + R"(":1})", ""));
  EXPECT_THAT(message, AllOf(HasSubstr("bad\\nname"), Not(HasSubstr("\n"))));
  EXPECT_LT(message.size(), 500u);
}

TEST(OpenCheckpoint, RefusesOtherEndings) {
  EXPECT_EQ(OpenCheckpoint("weights.bin").status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(CheckedElements, BoundsTheProductInAnyOrder) {
  EXPECT_EQ(CheckedElements(DType::kFloat32, {}), 1);
  EXPECT_EQ(CheckedElements(DType::kFloat32, {3, 0, 4}), 0);
  EXPECT_EQ(CheckedElements(DType::kUInt8, {(int64_t{1} << 46) - 1}), (int64_t{1} << 46) - 1);
  EXPECT_EQ(CheckedElements(DType::kUInt8, {int64_t{1} << 46}), std::nullopt);
  EXPECT_EQ(CheckedElements(DType::kFloat32, {int64_t{1} << 44}), std::nullopt);
  EXPECT_EQ(CheckedElements(DType::kUInt8, {INT64_MAX, INT64_MAX}), std::nullopt);
  EXPECT_EQ(CheckedElements(DType::kUInt8, {0, INT64_MAX, 2}), std::nullopt);
  EXPECT_EQ(CheckedElements(DType::kUInt8, {-1}), std::nullopt);
}

}  // namespace
}  // namespace hmar
