#include "client/terminal/request_progress.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "client/terminal/text_columns.h"

namespace hmar {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr ScreenSize kScreen = {.columns = 80, .rows = 24};
constexpr TerminalKind kPlainText = {.graphics = Graphics::kNone, .colours = Colours::kNone};
const TerminalKind kWithKitty = {
    .graphics = Graphics::kKitty, .colours = Colours::kAnsi, .utf8 = true};

const Picture& Pixels() {
  static const Picture pixels{2, 2, std::vector<uint8_t>(12, 9)};
  return pixels;
}

v1::Preview PreviewOf(uint32_t index, uint32_t scale) {
  v1::Preview preview;
  preview.set_image_index(index);
  preview.set_scale(scale);
  preview.set_num_scales(4);
  preview.set_grid(scale + 1);
  return preview;
}

v1::Image ImageOf(uint32_t index, uint64_t seed) {
  v1::Image image;
  image.set_image_index(index);
  image.set_seed(seed);
  return image;
}

std::vector<std::string> TextOf(const Frame& frame) {
  std::vector<std::string> lines;
  for (const FrameLine& line : frame.lines) lines.push_back(line.bytes);
  return lines;
}

TEST(RequestProgressTest, EachImageHasABar) {
  RequestProgress progress(3, false);
  progress.OnPreview(PreviewOf(1, 1), Pixels(), absl::Milliseconds(120));
  progress.OnImage(ImageOf(2, 9), Pixels(), absl::Milliseconds(310));
  EXPECT_THAT(TextOf(ProgressFrame(progress, kPlainText, kScreen, absl::Milliseconds(500))),
              ElementsAre("waiting for the server",
                          "image 1/3  ..................................  waiting",
                          "image 2/3  #################.................  scale 2/4  2 x 2  0.12 s",
                          "image 3/3  ##################################  done  seed 9  0.31 s",
                          "1 of 3 done  0.5 s"));
}

TEST(RequestProgressTest, ColoursAndBlocksAreForTerminalsThatHaveThem) {
  RequestProgress progress(1, false);
  progress.OnPreview(PreviewOf(0, 1), Pixels(), absl::Seconds(1));
  const TerminalKind kind = {.colours = Colours::kAnsi, .utf8 = true};
  const Frame frame = ProgressFrame(progress, kind, {.columns = 55, .rows = 24}, absl::Seconds(1));
  EXPECT_EQ(frame.lines[1].bytes,
            "image 1/1  \x1b[36m█████\x1b[0m\x1b[2m░░░░░\x1b[0m  scale 2/4  2 x 2  1.00 s");
  EXPECT_EQ(frame.lines[1].columns, 47U);
}

TEST(RequestProgressTest, TheServersWordsAreFitToPrint) {
  v1::Accepted accepted;
  accepted.set_model("\x1b[2J");
  v1::Completed completed;
  completed.set_images(1);
  RequestProgress progress(1, false);
  progress.OnAccepted(accepted);
  progress.OnCompleted(completed);
  const Frame frame = ProgressFrame(progress, kPlainText, kScreen, absl::Seconds(1));
  EXPECT_THAT(frame.lines[0].bytes, HasSubstr("\\u001B[2J"));
  EXPECT_EQ(frame.lines.back().bytes, "1 image in 0.00 s, of which 0.00 s in the queue");
}

TEST(RequestProgressTest, AFailedTryStandsAboveWhatHasComeUntilTheNextIsAccepted) {
  RequestProgress progress(1, false);
  progress.OnAccepted({});
  progress.OnImage(ImageOf(0, 7), Pixels(), absl::Seconds(1));
  progress.OnRetry("UNAVAILABLE: gone");
  EXPECT_EQ(ProgressFrame(progress, kPlainText, kScreen, absl::Seconds(1)).lines[0].bytes,
            "UNAVAILABLE: gone");
  EXPECT_EQ(progress.done(), 1U);
  progress.OnAccepted({});
  EXPECT_THAT(ProgressFrame(progress, kPlainText, kScreen, absl::Seconds(1)).lines[0].bytes,
              HasSubstr("0 images ahead"));
}

TEST(RequestProgressTest, NoLineIsAsWideAsTheScreenNorAllOfThemAsHigh) {
  v1::Accepted accepted;
  accepted.set_request_id(std::string(300, 'x'));
  RequestProgress progress(5000, true);
  progress.OnAccepted(accepted);
  v1::Image image = ImageOf(0, 7);
  image.set_degraded(true);  // A long note.
  progress.OnImage(image, Pixels(), absl::Seconds(1));
  for (uint32_t columns = 1; columns < 130; ++columns) {
    for (uint32_t rows = 1; rows < 60; rows += 3) {
      const ScreenSize size = {.columns = columns, .rows = rows};
      const Frame frame = ProgressFrame(progress, kWithKitty, size, absl::Seconds(1));
      ASSERT_LE(frame.lines.size(), std::max(rows, 2U) - 1) << columns << " x " << rows;
      for (const FrameLine& line : frame.lines) ASSERT_LT(line.columns, std::max(columns, 2U));
      for (const FramePicture& picture : frame.pictures) {
        ASSERT_LT(picture.column + picture.cells.width, columns + 1);
        ASSERT_LE(picture.line + picture.cells.height, frame.lines.size());
      }
    }
  }
}

TEST(RequestProgressTest, OfManyImagesThoseAfterTheFirstUnfinishedAreShown) {
  RequestProgress progress(100, false);
  for (const uint32_t done : {0U, 1U, 2U, 5U}) {
    progress.OnImage(ImageOf(done, done), Pixels(), absl::Seconds(1));
  }
  const std::vector<std::string> lines =
      TextOf(ProgressFrame(progress, kPlainText, {.columns = 60, .rows = 8}, absl::Seconds(2)));
  ASSERT_EQ(lines.size(), 7U);
  EXPECT_THAT(lines[1], HasSubstr("image   4/100"));
  EXPECT_THAT(lines[3], HasSubstr("image   6/100"));
  EXPECT_THAT(lines[3], HasSubstr("done"));
  EXPECT_EQ(lines[6], "4 of 100 done  2.0 s  (5 of them above)");
}

TEST(RequestProgressTest, AtTheEndTheLastOnesAreShown) {
  EXPECT_EQ(FirstShown(0, 100, 5), 0U);
  EXPECT_EQ(FirstShown(40, 100, 5), 40U);
  EXPECT_EQ(FirstShown(100, 100, 5), 95U);
  EXPECT_EQ(FirstShown(2, 2, 2), 0U);
  EXPECT_EQ(FirstShown(0, 1, 5), 0U);
}

TEST(RequestProgressTest, PicturesStandBesideEachOtherBelowTheBars) {
  RequestProgress progress(2, true);
  progress.OnPreview(PreviewOf(0, 0), Pixels(), absl::Seconds(1));
  progress.OnPreview(PreviewOf(1, 0), Pixels(), absl::Seconds(1));
  const Frame frame = ProgressFrame(progress, kWithKitty, kScreen, absl::Seconds(1));
  ASSERT_EQ(frame.pictures.size(), 2U);
  EXPECT_EQ(frame.pictures[0].line, 4U);
  EXPECT_EQ(frame.pictures[0].cells, (Size{32, 16}));
  EXPECT_EQ(frame.pictures[1].column, 33U);
  EXPECT_EQ(frame.lines.size(), 20U);
  EXPECT_NE(frame.pictures[0].version, frame.pictures[1].version);
}

TEST(RequestProgressTest, NoRoomIsKeptForPicturesThatMayNeverCome) {
  RequestProgress progress(1, true);
  EXPECT_EQ(ProgressFrame(progress, kWithKitty, kScreen, absl::Seconds(1)).lines.size(), 3U);
  progress.OnPreview(PreviewOf(0, 0), Pixels(), absl::Seconds(1));
  EXPECT_EQ(ProgressFrame(progress, kWithKitty, kScreen, absl::Seconds(1)).lines.size(), 19U);
}

TEST(RequestProgressTest, PicturesShrinkUntilAllStandInARow) {
  const auto layout = [](uint32_t images, uint32_t columns, uint32_t rows) {
    return LayOut(images, true, {.columns = columns, .rows = rows});
  };
  EXPECT_EQ(layout(4, 80, 24).cells, (Size{18, 9}));
  EXPECT_EQ(layout(4, 80, 24).pictures, 4U);
  EXPECT_EQ(layout(20, 80, 24).cells, (Size{16, 8}));  // No smaller for the sake of more.
  EXPECT_EQ(layout(20, 80, 24).pictures, 4U);
  EXPECT_EQ(layout(1, 9, 24).cells, (Size{8, 4}));
  EXPECT_EQ(layout(1, 8, 24).pictures, 0U);
  EXPECT_EQ(layout(1, 80, 7).pictures, 0U);  // A bar is worth more.
  EXPECT_EQ(layout(1, 80, 7).bars, 1U);
  EXPECT_EQ(LayOut(1, true, {.columns = 80, .rows = 24, .cell = {10, 10}}).cells, (Size{16, 16}));
}

TEST(RequestProgressTest, WhatIsKeptOfPicturesIsBounded) {
  RequestProgress progress(200, true);
  const Picture large{2000, 1000, std::vector<uint8_t>(size_t{3} * 2000 * 1000)};
  progress.OnImage(ImageOf(199, 1), large, absl::Seconds(1));
  EXPECT_EQ(progress.image(199).picture->width, RequestProgress::kMaxPictureSide);
  EXPECT_EQ(progress.image(199).picture->height, RequestProgress::kMaxPictureSide / 2);
  for (uint32_t i = 0; i < 199; ++i) progress.OnImage(ImageOf(i, 1), Pixels(), absl::Seconds(1));
  size_t kept = 0;
  for (uint32_t i = 0; i < 200; ++i) kept += progress.image(i).picture != nullptr ? 1 : 0;
  EXPECT_EQ(kept, RequestProgress::kMaxPictures);
  EXPECT_NE(progress.image(199).picture, nullptr);
  EXPECT_EQ(progress.image(0).picture, nullptr);
  EXPECT_EQ(progress.done(), 200U);
  EXPECT_EQ(progress.first_unfinished(), 200U);
}

TEST(RequestProgressTest, WithoutPicturesNoneAreKept) {
  RequestProgress progress(1, false);
  progress.OnPreview(PreviewOf(0, 0), Pixels(), absl::Seconds(1));
  EXPECT_EQ(progress.image(0).picture, nullptr);
  EXPECT_THAT(ProgressFrame(progress, kWithKitty, kScreen, absl::Seconds(1)).pictures,
              testing::IsEmpty());
}

}  // namespace
}  // namespace hmar
