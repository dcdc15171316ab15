#include "server/keys/key_ring.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <memory>
#include <string>

#include "server/base/errors.h"
#include "tests/fakes/fake_clock.h"

namespace hmar {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class KeyRingTest : public ::testing::Test {
 protected:
  void Write(const std::string& toml) { std::ofstream(path_, std::ios::trunc) << toml; }

  std::string NameOf(const std::vector<std::string>& headers) const {
    const auto holder = ring_->Identify(headers);
    return holder.ok() ? (*holder)->key.name : ReasonName(holder.status());
  }

  const std::string path_ = ::testing::TempDir() + "key_ring_test.toml";
  FakeClock clock_, steady_;
  std::unique_ptr<KeyRing> ring_;
};

// "alpha" and "beta".
constexpr char kTwo[] = R"(
[[key]]
name = "alice"
sha256 = "8ed3f6ad685b959ead7022518e1af76cd816f8e8ec7ccdda1ed4018e8f2223f8"
images_per_minute = 2
models = ["m"]
max_priority = 3

[[key]]
name = "bob"
sha256 = "f44e64e75f3948e9f73f8dfa94721c4ce8cbb4f265c4790c702b2d41cfbf2753"
expires = 2023-11-15T00:00:00Z
)";

class TwoKeysTest : public KeyRingTest {
 protected:
  TwoKeysTest() {
    Write(kTwo);
    auto ring = KeyRing::Open(path_, {"m", "n"}, &clock_, &steady_);
    EXPECT_TRUE(ring.ok()) << ring.status();
    ring_ = *std::move(ring);
  }
};

TEST_F(TwoKeysTest, WhoShowsAKeyIsWhoHasIt) {
  EXPECT_EQ(NameOf({"Bearer alpha"}), "alice");
  EXPECT_EQ(NameOf({"bearer  alpha "}), "alice");
  EXPECT_EQ(NameOf({"Bearer beta"}), "bob");
}

TEST_F(TwoKeysTest, WhoShowsNoneIsToldSo) {
  EXPECT_EQ(NameOf({}), "KEY_MISSING");
  EXPECT_EQ(NameOf({""}), "KEY_MISSING");
  EXPECT_EQ(NameOf({"Bearer"}), "KEY_MISSING");
  EXPECT_EQ(NameOf({"Bearer  "}), "KEY_MISSING");
  EXPECT_EQ(NameOf({"Basic alpha"}), "KEY_MISSING");
  EXPECT_EQ(NameOf({"alpha"}), "KEY_MISSING");
  EXPECT_EQ(NameOf({"Bearer alpha", "Bearer alpha"}), "KEY_MISSING") << "which of them counts?";
}

TEST_F(TwoKeysTest, OnlyTheWholeKeyOpensAndNothingOfItIsQuoted) {
  for (const std::string wrong :
       {"alph", "alphaa", "Alpha", "alpha beta",
        "8ed3f6ad685b959ead7022518e1af76cd816f8e8ec7ccdda1ed4018e8f2223f8"}) {
    const auto holder = ring_->Identify({"Bearer " + wrong});
    EXPECT_EQ(ReasonName(holder.status()), "KEY_UNKNOWN") << wrong;
    EXPECT_THAT(std::string(holder.status().message()), Not(HasSubstr(wrong)));
  }
  EXPECT_EQ(NameOf({"Bearer " + std::string(1 << 20, 'a')}), "KEY_UNKNOWN");
}

TEST_F(TwoKeysTest, AKeyIsGoodUntilItExpires) {
  EXPECT_EQ(NameOf({"Bearer beta"}), "bob");
  clock_.Advance(absl::FromUnixSeconds(1'700'006'400) - clock_.Now());  // 2023-11-15.
  const auto holder = ring_->Identify({"Bearer beta"});
  EXPECT_EQ(ReasonName(holder.status()), "KEY_EXPIRED");
  EXPECT_THAT(std::string(holder.status().message()),
              HasSubstr("bob has expired at 2023-11-15T00:00:00+00:00"));
}

TEST_F(TwoKeysTest, WhatAKeyMayIsHeldAgainstItsEntry) {
  const auto alice = *ring_->Identify({"Bearer alpha"});
  EXPECT_TRUE(alice->CheckModel("m").ok());
  EXPECT_EQ(ReasonName(alice->CheckModel("n")), "MODEL_NOT_ALLOWED");
  EXPECT_TRUE(alice->CheckPriority(3).ok());
  EXPECT_EQ(ReasonName(alice->CheckPriority(4)), "PRIORITY_NOT_ALLOWED");
  const auto bob = *ring_->Identify({"Bearer beta"});
  EXPECT_TRUE(bob->CheckModel("n").ok());
  EXPECT_TRUE(bob->CheckPriority(10).ok());
}

TEST_F(TwoKeysTest, ANameHasItsImagesOfAMinute) {
  ImageAllowance::Ticket ticket;
  ASSERT_TRUE((*ring_->Identify({"Bearer alpha"}))->TakeImages(2, &ticket).ok());
  ticket.Keep();
  const absl::Status status = (*ring_->Identify({"Bearer alpha"}))->TakeImages(1, &ticket);
  EXPECT_EQ(ReasonName(status), "QUOTA_IMAGES");
  EXPECT_EQ(RetryDelayOf(status), absl::Seconds(30));
  EXPECT_EQ(QuotaOf(status), "key:alice");
  EXPECT_TRUE((*ring_->Identify({"Bearer beta"}))->TakeImages(1000, &ticket).ok());
}

TEST_F(TwoKeysTest, AReloadTakesKeysAndLeavesWhatIsLeftOfTheirImages) {
  ImageAllowance::Ticket ticket;
  const auto before = *ring_->Identify({"Bearer alpha"});
  ASSERT_TRUE(before->TakeImages(2, &ticket).ok());
  ticket.Keep();
  Write(R"([[key]]
name = "alice"
sha256 = "f44e64e75f3948e9f73f8dfa94721c4ce8cbb4f265c4790c702b2d41cfbf2753"
images_per_minute = 3
)");
  ASSERT_TRUE(ring_->Reload().ok());
  EXPECT_EQ(NameOf({"Bearer alpha"}), "KEY_UNKNOWN");
  EXPECT_EQ(NameOf({"Bearer beta"}), "alice");
  EXPECT_EQ(ReasonName((*ring_->Identify({"Bearer beta"}))->TakeImages(1, &ticket)),
            "QUOTA_IMAGES");
  EXPECT_EQ(before->key.models->size(), 1) << "calls under way go on as they began";
}

TEST_F(TwoKeysTest, AFaultyFileLeavesTheKeysAsTheyWere) {
  for (const char* faulty : {"", "[[key]]\nname = \"alice\"\n", "[[key", "[[key]]\nx = 1\n"}) {
    Write(faulty);
    EXPECT_FALSE(ring_->Reload().ok()) << faulty;
    EXPECT_EQ(NameOf({"Bearer alpha"}), "alice");
  }
  std::remove(path_.c_str());
  EXPECT_FALSE(ring_->Reload().ok());
  EXPECT_EQ(NameOf({"Bearer alpha"}), "alice");
}

}  // namespace
}  // namespace hmar
