#include "client/progress.h"

#include <gtest/gtest.h>

namespace hmar {
namespace {

TEST(ProgressTest, AcceptedSaysWhatToExpect) {
  v1::Accepted accepted;
  accepted.set_request_id("r-1");
  accepted.set_model("tiny");
  accepted.set_seed(7);
  accepted.set_images_ahead(1);
  accepted.mutable_estimated_time()->set_nanos(400'000'000);
  EXPECT_EQ(AcceptedLine(accepted), "request r-1: tiny, seed 7, 1 image ahead, about 0.40 s");
}

TEST(ProgressTest, NamesOfTheServersAreFitToPrint) {
  v1::Accepted accepted;
  accepted.set_request_id("\x1b[2J");
  accepted.set_model("\xe2\x80\xae");
  EXPECT_EQ(AcceptedLine(accepted),
            "request \\u001B[2J: \\u202E, seed 0, 0 images ahead, about 0.00 s");
}

TEST(ProgressTest, PreviewsCountFromOne) {
  v1::Preview preview;
  preview.set_image_index(1);
  preview.set_scale(2);
  preview.set_num_scales(7);
  preview.set_grid(3);
  EXPECT_EQ(PreviewLine(preview, 4, absl::Milliseconds(120)),
            "image 2/4  scale 3/7  3 x 3  0.12 s");
}

TEST(ProgressTest, PreviewsLeftOutAreMentioned) {
  v1::Preview preview;
  preview.set_num_scales(7);
  preview.set_grid(1);
  preview.set_dropped(2);
  EXPECT_EQ(
      PreviewLine(preview, 1, absl::Seconds(1)),
      "image 1/1  scale 1/7  1 x 1  1.00 s  (2 previews before it left out: read too slowly)");
}

TEST(ProgressTest, ImagesSayTheirSeed) {
  v1::Image image;
  image.set_image_index(3);
  image.set_seed(10);
  EXPECT_EQ(ImageLine(image, 4, absl::Milliseconds(310)), "image 4/4  done  seed 10  0.31 s");
  image.set_degraded(true);
  image.set_scales_run(5);
  EXPECT_EQ(ImageLine(image, 4, absl::Milliseconds(310)),
            "image 4/4  done  seed 10  0.31 s  (degraded: the deadline left time for 5 scales)");
}

TEST(ProgressTest, EditsSayHowMuchOfThePictureIsNew) {
  v1::Image image;
  image.set_seed(7);
  for (const bool generated : {true, false, false, false}) image.add_generated_tokens(generated);
  EXPECT_EQ(ImageLine(image, 1, absl::Seconds(1)),
            "image 1/1  done  seed 7  1.00 s  (1 of 4 tokens generated)");
}

TEST(ProgressTest, ARetrySaysWhyInOneLineAndWhen) {
  const absl::Status failure =
      absl::UnavailableError("\x1b[2J is going down [DRAINING]\n  retry in 1s");
  EXPECT_EQ(RetryLine(failure, absl::Milliseconds(1234)),
            "UNAVAILABLE: \\u001B[2J is going down [DRAINING]; trying again in 1.23 s");
}

TEST(ProgressTest, CompletedSplitsTheTime) {
  v1::Completed completed;
  completed.set_images(4);
  completed.mutable_total()->set_seconds(1);
  completed.mutable_queued()->set_nanos(10'000'000);
  EXPECT_EQ(CompletedLine(completed), "4 images in 1.00 s, of which 0.01 s in the queue");
}

}  // namespace
}  // namespace hmar
