#include "client/edit_request.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/edit_options.h"
#include "client/files.h"
#include "client/tokens_file.h"

namespace hmar {
namespace {

class EditRequestTest : public testing::Test {
 protected:
  EditRequestTest() {
    std::filesystem::create_directories(folder_);
    command_.image = Write("image.png", "any \0 bytes");
    command_.box = EditBox{1, 2, 30, 40};
    command_.out = "o.png";
  }
  ~EditRequestTest() override { std::filesystem::remove_all(folder_); }

  std::string Write(const std::string& name, const std::string& bytes) const {
    EXPECT_TRUE(WriteFile(folder_ / name, bytes).ok());
    return folder_ / name;
  }

  v1::EditOptions Edit() const { return MakeEditRequest(command_).value().edit(); }

  const std::filesystem::path folder_ =
      std::filesystem::path(testing::TempDir()) / absl::StrCat("edit_request_test.", getpid());
  EditCommand command_;
};

TEST_F(EditRequestTest, FilesTravelByteForByte) {
  const std::string bytes("\x89PNG\r\n\0\xff", 8);
  command_.image = Write("image.png", bytes);
  command_.box.reset();
  command_.mask = Write("mask.png", "mask");
  EXPECT_EQ(Edit().image(), bytes);
  EXPECT_EQ(Edit().mask(), "mask");
}

TEST_F(EditRequestTest, RegionsAreTranslated) {
  EXPECT_EQ(Edit().box().y1(), 40);
  command_.keep_box = *std::exchange(command_.box, std::nullopt);
  EXPECT_EQ(Edit().keep_box().x1(), 30);
  command_.keep_box.reset();
  command_.resize = "contain";
  EXPECT_EQ(Edit().region_case(), v1::EditOptions::REGION_NOT_SET);
  EXPECT_EQ(Edit().resize(), v1::EditOptions::RESIZE_CONTAIN);
}

TEST_F(EditRequestTest, ResizeFeatherAndCompositeAreTranslated) {
  EXPECT_EQ(Edit().resize(), v1::EditOptions::RESIZE_UNSPECIFIED);
  EXPECT_FALSE(Edit().has_composite());
  command_.resize = "cover";
  command_.feather = 3;
  EXPECT_EQ(Edit().resize(), v1::EditOptions::RESIZE_COVER);
  EXPECT_EQ(Edit().feather(), 3);
  command_.composite = false;
  EXPECT_TRUE(Edit().has_composite());
  EXPECT_FALSE(Edit().composite());
  command_.resize = "contain";
  EXPECT_TRUE(Edit().has_box());  // The bars, too, then.
  EXPECT_EQ(Edit().resize(), v1::EditOptions::RESIZE_CONTAIN);
}

TEST_F(EditRequestTest, AllElseIsAsInGenerate) {
  command_.target = "cat";
  command_.count = 3;
  command_.seed = 9;
  command_.top_k = 5;
  command_.previews = "fast";
  command_.save_tokens = "t.json";
  const v1::GenerateRequest request = MakeEditRequest(command_).value();
  EXPECT_EQ(request.class_name(), "cat");
  EXPECT_EQ(request.num_images(), 3);
  EXPECT_EQ(request.seed(), 9);
  EXPECT_EQ(request.sampling().top_k(), 5);
  EXPECT_EQ(request.previews().mode(), v1::PreviewOptions::MODE_FAST);
  EXPECT_TRUE(request.output().return_tokens());
}

TEST_F(EditRequestTest, AnEditMayStartFromAnEarlierOnesTokens) {
  command_.from_tokens =
      Write("t.json", FormatTokens({.model = "tiny", .images = {{7, {{1}, {2, 3, 4, 5}}}}}));
  command_.scales = 1;
  const v1::GenerateRequest request = MakeEditRequest(command_).value();
  EXPECT_EQ(request.prefix().tokens_size(), 1);
  EXPECT_TRUE(request.has_edit());
}

TEST_F(EditRequestTest, AFileThatCannotBeReadIsNamedWithItsFlag) {
  command_.image = "/no/such.png";
  EXPECT_EQ(MakeEditRequest(command_).status(),
            absl::NotFoundError("--image: cannot read '/no/such.png': No such file or directory"));
  command_.image = Write("image.png", "image");
  command_.box.reset();
  command_.mask = folder_;
  EXPECT_EQ(MakeEditRequest(command_).status(),
            absl::NotFoundError(
                absl::StrCat("--mask: cannot read '", folder_.string(), "': Is a directory")));
}

TEST_F(EditRequestTest, AnEmptyFileIsRefused) {
  command_.image = Write("empty.png", "");
  EXPECT_EQ(MakeEditRequest(command_).status(),
            absl::InvalidArgumentError(
                absl::StrCat("--image: '", command_.image, "' is empty: 0 bytes")));
}

TEST_F(EditRequestTest, AFileMayBeLargerThanServersTakeByDefault) {
  command_.image = Write("large.png", "");
  std::filesystem::resize_file(command_.image, 17 << 20);
  EXPECT_EQ(Edit().image().size(), 17 << 20);
}

TEST_F(EditRequestTest, AFileOverTheLimitIsRefusedWithSizeAndLimit) {
  const std::string path = Write("large.png", "");
  std::filesystem::resize_file(path, kMaxUploadBytes + 1);  // Sparse.
  command_.image = path;
  EXPECT_EQ(MakeEditRequest(command_).status(),
            absl::InvalidArgumentError(
                absl::StrCat("--image: '", path, "' has 536870913 bytes; at most 536870912")));
  command_.image = Write("image.png", "image");
  command_.box.reset();
  command_.mask = path;
  EXPECT_EQ(MakeEditRequest(command_).status(),
            absl::InvalidArgumentError(
                absl::StrCat("--mask: '", path, "' has 536870913 bytes; at most 536870912")));
}

}  // namespace
}  // namespace hmar
