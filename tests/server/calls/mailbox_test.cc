#include "server/calls/mailbox.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/fakes/fake_clock.h"

namespace hmar {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr MailboxOptions kRoomy = {1 << 20, 1 << 20};

v1::GenerateResponse Accepted() {
  v1::GenerateResponse event;
  event.mutable_accepted()->set_model("m");
  return event;
}

v1::GenerateResponse Preview(uint32_t image, uint32_t scale, size_t bytes = 100) {
  v1::GenerateResponse event;
  event.mutable_preview()->set_image_index(image);
  event.mutable_preview()->set_scale(scale);
  event.mutable_preview()->mutable_picture()->set_data(std::string(bytes, 'p'));
  return event;
}

v1::GenerateResponse Image(uint32_t image, size_t bytes = 100) {
  v1::GenerateResponse event;
  event.mutable_image()->set_image_index(image);
  event.mutable_image()->mutable_picture()->set_data(std::string(bytes, 'i'));
  return event;
}

v1::GenerateResponse Completed() {
  v1::GenerateResponse event;
  event.mutable_completed()->set_images(1);
  return event;
}

// "accepted", "preview 0/1 -2" (image 0, scale 1, two dropped before it), "image 0", "completed".
std::string Describe(const v1::GenerateResponse& event) {
  if (event.has_accepted()) return "accepted";
  if (event.has_completed()) return "completed";
  if (event.has_image()) return absl::StrCat("image ", event.image().image_index());
  const v1::Preview& preview = event.preview();
  return absl::StrCat("preview ", preview.image_index(), "/", preview.scale(), " -",
                      preview.dropped());
}

std::vector<std::string> TakeAll(Mailbox& mailbox) {
  std::vector<std::string> events;
  while (const auto event = mailbox.Take()) events.push_back(Describe(*event));
  return events;
}

TEST(MailboxTest, NothingLeavesBeforeAcceptedWhichLeavesFirst) {
  Mailbox mailbox(kRoomy);
  EXPECT_EQ(mailbox.PutPreview(Preview(0, 0), 0), 0u);
  EXPECT_TRUE(mailbox.PutFinal(Image(0)));
  EXPECT_TRUE(mailbox.PutFinal(Completed()));
  EXPECT_THAT(TakeAll(mailbox), IsEmpty());
  mailbox.Open(Accepted());
  EXPECT_THAT(TakeAll(mailbox), ElementsAre("accepted", "preview 0/0 -0", "image 0", "completed"));
}

TEST(MailboxTest, WithRoomEveryPreviewIsKept) {
  Mailbox mailbox(kRoomy);
  mailbox.Open(Accepted());
  for (uint32_t scale = 0; scale < 3; ++scale) {
    EXPECT_EQ(mailbox.PutPreview(Preview(0, scale), 0), 0u);
  }
  EXPECT_THAT(TakeAll(mailbox),
              ElementsAre("accepted", "preview 0/0 -0", "preview 0/1 -0", "preview 0/2 -0"));
}

TEST(MailboxTest, UnderPressureTheNewestPreviewReplacesOlderOnesOfItsImageOnly) {
  Mailbox mailbox({1 << 20, 0});
  mailbox.Open(Accepted());
  EXPECT_EQ(mailbox.PutPreview(Preview(0, 0), 0), 0u);
  EXPECT_EQ(mailbox.PutPreview(Preview(1, 0), 0), 0u);
  EXPECT_EQ(mailbox.PutPreview(Preview(0, 1), 0), 1u);
  EXPECT_EQ(mailbox.PutPreview(Preview(0, 2), 0), 1u);
  EXPECT_THAT(TakeAll(mailbox), ElementsAre("accepted", "preview 1/0 -0", "preview 0/2 -2"));
}

TEST(MailboxTest, DroppedCountsAllThatWereLeftOutSoFarWhereverThatHappened) {
  Mailbox mailbox({1 << 20, 0});
  mailbox.Open(Accepted());
  mailbox.PutPreview(Preview(0, 0), 0);
  mailbox.PutPreview(Preview(0, 1), 0);
  EXPECT_THAT(TakeAll(mailbox), ElementsAre("accepted", "preview 0/1 -1"));
  mailbox.PutPreview(Preview(0, 4), 2);  // Scales 2 and 3 did not get this far.
  EXPECT_THAT(TakeAll(mailbox), ElementsAre("preview 0/4 -3"));
}

TEST(MailboxTest, FinalsAreNeverDroppedForPreviews) {
  Mailbox mailbox({400, 400});
  mailbox.Open(Accepted());
  EXPECT_TRUE(mailbox.PutFinal(Image(0, 300)));
  EXPECT_EQ(mailbox.PutPreview(Preview(1, 0, 300), 0), 1u);  // No room: it goes itself.
  EXPECT_THAT(TakeAll(mailbox), ElementsAre("accepted", "image 0"));
  EXPECT_EQ(mailbox.PutPreview(Preview(1, 1, 300), 0), 0u);
  EXPECT_THAT(TakeAll(mailbox), ElementsAre("preview 1/1 -1"));
}

TEST(MailboxTest, PreviewsGiveWayToFinalsTheOldestFirst) {
  Mailbox mailbox({400, 400});
  mailbox.Open(Accepted());
  for (uint32_t image : {0, 1, 2}) EXPECT_EQ(mailbox.PutPreview(Preview(image, 0, 100), 0), 0u);
  uint32_t dropped = 0;
  EXPECT_TRUE(mailbox.PutFinal(Image(3, 150), &dropped));
  EXPECT_EQ(dropped, 1u);
  EXPECT_THAT(TakeAll(mailbox),
              ElementsAre("accepted", "preview 1/0 -0", "preview 2/0 -0", "image 3"));
  EXPECT_EQ(mailbox.PutPreview(Preview(0, 1), 0), 0u);
  EXPECT_THAT(TakeAll(mailbox), ElementsAre("preview 0/1 -1"));
}

TEST(MailboxTest, AFinalThatDoesNotFitClosesTheMailbox) {
  Mailbox mailbox({400, 400});
  mailbox.Open(Accepted());
  EXPECT_TRUE(mailbox.PutFinal(Image(0, 300)));
  EXPECT_FALSE(mailbox.PutFinal(Image(1, 300)));
  EXPECT_THAT(TakeAll(mailbox), IsEmpty());
  EXPECT_EQ(mailbox.held_bytes(), 0u);
  EXPECT_TRUE(mailbox.PutFinal(Completed()));  // Closed already: dropped in silence.
  EXPECT_THAT(TakeAll(mailbox), IsEmpty());
}

TEST(MailboxTest, AnEventLargerThanTheBoundStillPassesAlone) {
  Mailbox mailbox({400, 400});
  mailbox.Open(Accepted());
  TakeAll(mailbox);
  EXPECT_TRUE(mailbox.PutFinal(Image(0, 1000)));
  EXPECT_THAT(TakeAll(mailbox), ElementsAre("image 0"));
}

TEST(MailboxTest, HeldBytesAreThoseOfTheUnsentEvents) {
  Mailbox mailbox(kRoomy);
  mailbox.Open(Accepted());
  ASSERT_TRUE(mailbox.PutFinal(Image(0)));
  EXPECT_EQ(mailbox.held_bytes(), Accepted().ByteSizeLong() + Image(0).ByteSizeLong());
  TakeAll(mailbox);
  EXPECT_EQ(mailbox.held_bytes(), 0u);
}

// What all calls hold together.

class AccountedMailboxTest : public ::testing::Test {
 protected:
  static constexpr size_t kAll = 1000;

  FakeClock clock_;
  Deliveries deliveries_{{kAll, kAll, kAll, absl::Seconds(20)}, &clock_};
  Deliveries::Account others_{&deliveries_};
  Deliveries::Account account_{&deliveries_};
  Mailbox mailbox_{kRoomy, &account_};
};

TEST_F(AccountedMailboxTest, AnEventIsHeldUntilItIsSent) {
  mailbox_.Open(Accepted());
  ASSERT_TRUE(mailbox_.PutFinal(Image(0)));
  const size_t accepted = Accepted().ByteSizeLong();
  const size_t image = Image(0).ByteSizeLong();
  EXPECT_EQ(deliveries_.held_bytes(), accepted + image);
  mailbox_.Take();
  EXPECT_EQ(deliveries_.held_bytes(), 2 * accepted + image);  // Once more in gRPC.
  mailbox_.Take();
  EXPECT_EQ(deliveries_.held_bytes(), 2 * image);
  mailbox_.Close();
  EXPECT_EQ(deliveries_.held_bytes(), 2 * image);  // gRPC still has it.
  mailbox_.Sent();
  mailbox_.Sent();
  EXPECT_EQ(deliveries_.held_bytes(), 0u);
}

TEST_F(AccountedMailboxTest, WithoutRoomForAllPreviewsGiveWayAndFinalsDoNot) {
  mailbox_.Open(Accepted());
  TakeAll(mailbox_);
  mailbox_.Sent();
  others_.Hold(Deliveries::Holding::kRest, kAll - 250);
  EXPECT_EQ(mailbox_.PutPreview(Preview(0, 0, 150), 0), 0u);
  EXPECT_EQ(mailbox_.PutPreview(Preview(0, 1, 150), 0), 1u);  // Replaces the first.
  EXPECT_EQ(mailbox_.PutPreview(Preview(1, 0, 150), 0), 1u);  // Goes itself.
  EXPECT_TRUE(mailbox_.PutFinal(Image(1, 300)));
  EXPECT_THAT(TakeAll(mailbox_), ElementsAre("preview 0/1 -1", "image 1"));
}

TEST_F(AccountedMailboxTest, PreviewsThatAreDroppedLaterAreCountedForTheirImages) {
  mailbox_.Open(Accepted());
  mailbox_.PutPreview(Preview(0, 0), 0);
  mailbox_.PutPreview(Preview(0, 1), 0);
  mailbox_.PutPreview(Preview(1, 0), 0);
  ASSERT_TRUE(mailbox_.PutFinal(Image(2)));
  EXPECT_EQ(mailbox_.DropPreviews(), 3u);
  EXPECT_EQ(mailbox_.DropPreviews(), 0u);
  mailbox_.PutPreview(Preview(0, 2), 0);
  mailbox_.PutPreview(Preview(1, 1), 0);
  EXPECT_THAT(TakeAll(mailbox_),
              ElementsAre("accepted", "image 2", "preview 0/2 -2", "preview 1/1 -1"));
}

TEST(MailboxTest, OpeningAfterCloseLetsNothingOut) {
  Mailbox mailbox(kRoomy);
  mailbox.Close();
  mailbox.Open(Accepted());
  EXPECT_THAT(TakeAll(mailbox), IsEmpty());
}

TEST(MailboxTest, PreviewsStayInScaleOrderHoweverThreadsInterleave) {
  constexpr uint32_t kImages = 4;
  constexpr uint32_t kScales = 200;
  Mailbox mailbox({1 << 20, 4096});
  mailbox.Open(Accepted());
  std::vector<std::thread> writers;
  for (uint32_t image = 0; image < kImages; ++image) {
    writers.emplace_back([&mailbox, image] {
      for (uint32_t scale = 0; scale < kScales; ++scale) {
        mailbox.PutPreview(Preview(image, scale), 0);
      }
      EXPECT_TRUE(mailbox.PutFinal(Image(image)));
    });
  }
  std::vector<uint32_t> next(kImages, 0);
  std::vector<uint32_t> seen(kImages, 0);
  uint32_t images = 0;
  while (images < kImages) {
    const auto event = mailbox.Take();
    if (!event.has_value()) continue;
    if (event->has_image()) ++images;
    if (!event->has_preview()) continue;
    const v1::Preview& preview = event->preview();
    EXPECT_GE(preview.scale(), next[preview.image_index()]);
    next[preview.image_index()] = preview.scale() + 1;
    EXPECT_EQ(++seen[preview.image_index()] + preview.dropped(), preview.scale() + 1);
  }
  for (std::thread& writer : writers) writer.join();
}

}  // namespace
}  // namespace hmar
