#include "server/keys/image_allowance.h"

#include <gtest/gtest.h>

#include <memory>

#include "tests/fakes/fake_clock.h"

namespace hmar {
namespace {

class ImageAllowanceTest : public ::testing::Test {
 protected:
  // Whether there were so many, which are kept.
  bool Have(uint32_t images) {
    ImageAllowance::Ticket ticket;
    if (allowance_->Take(images, &ticket).has_value()) return false;
    ticket.Keep();
    return true;
  }

  FakeClock clock_;
  std::shared_ptr<ImageAllowance> allowance_ = std::make_shared<ImageAllowance>(60, &clock_);
};

TEST_F(ImageAllowanceTest, AMinutesImagesAreThereAtOnceAndNoMore) {
  EXPECT_TRUE(Have(59));
  EXPECT_TRUE(Have(1));
  EXPECT_FALSE(Have(1));
}

TEST_F(ImageAllowanceTest, TheyComeBackOneByOne) {
  ASSERT_TRUE(Have(60));
  clock_.Advance(absl::Milliseconds(999));
  EXPECT_FALSE(Have(1));
  clock_.Advance(absl::Milliseconds(1));
  EXPECT_TRUE(Have(1));
  clock_.Advance(absl::Hours(1));
  EXPECT_FALSE(Have(61)) << "no more than a minute's are saved up";
  EXPECT_TRUE(Have(60));
}

TEST_F(ImageAllowanceTest, WhoIsRefusedIsToldForHowLong) {
  ASSERT_TRUE(Have(50));
  ImageAllowance::Ticket ticket;
  const auto wait = allowance_->Take(40, &ticket);
  ASSERT_TRUE(wait.has_value());
  EXPECT_EQ(*wait, absl::Seconds(30));
  clock_.Advance(*wait);
  EXPECT_TRUE(Have(40));
}

TEST_F(ImageAllowanceTest, WhatIsNotKeptIsGivenBack) {
  {
    ImageAllowance::Ticket ticket;
    ASSERT_FALSE(allowance_->Take(60, &ticket).has_value());
    EXPECT_FALSE(Have(1));
    ImageAllowance::Ticket other = std::move(ticket);
    EXPECT_FALSE(Have(1)) << "moved, not given back";
  }
  EXPECT_TRUE(Have(60));
}

TEST_F(ImageAllowanceTest, ANewRateKeepsWhatIsLeft) {
  ASSERT_TRUE(Have(40));
  allowance_->SetRate(600);
  EXPECT_FALSE(Have(21));
  EXPECT_TRUE(Have(20));
  clock_.Advance(absl::Seconds(1));
  EXPECT_TRUE(Have(10));
  allowance_->SetRate(5);
  clock_.Advance(absl::Minutes(1));
  EXPECT_EQ(allowance_->most(), 5);
  EXPECT_FALSE(Have(6));
  EXPECT_TRUE(Have(5));
}

TEST_F(ImageAllowanceTest, WithoutARateThereIsNoLimit) {
  allowance_->SetRate(std::nullopt);
  EXPECT_TRUE(Have(1'000'000));
  allowance_->SetRate(60);
  EXPECT_TRUE(Have(60)) << "as a new one: full";
}

}  // namespace
}  // namespace hmar
