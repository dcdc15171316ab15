#include "server/calls/doorkeeper.h"

#include <gtest/gtest.h>

#include <fstream>
#include <memory>
#include <string>
#include <utility>

#include "server/base/errors.h"
#include "tests/fakes/fake_clock.h"
#include "tests/server/calls/rejections.h"

namespace hmar {
namespace {

CallHeaders From(const std::string& address, const std::string& authorization = "") {
  CallHeaders headers;
  headers.peer = "ipv4:" + address + ":4711";
  if (!authorization.empty()) headers.authorization.push_back(authorization);
  return headers;
}

class DoorkeeperTest : public ::testing::Test {
 protected:
  DoorkeeperTest() {
    const std::string path = ::testing::TempDir() + "doorkeeper_test.toml";
    // Of "alpha".
    std::ofstream(path) << "[[key]]\nname = \"10.0.0.2\"\nsha256 = "
                           "\"8ed3f6ad685b959ead7022518e1af76cd816f8e8ec7ccdda1ed4018e8f2223f8\"\n";
    keys_ = *KeyRing::Open(path, {"m"}, &clock_, &clock_);
  }

  const std::unique_ptr<Metrics> metrics_ = *Metrics::Create({{"fake", "", "", 3}}, {}, "");
  FakeClock clock_;
  UploadReaders readers_{{1, 1600 << 10}};
  EncoderPool encoder_{{1, 1 << 20}};
  Deliveries deliveries_{{1000, 750, 500, absl::Seconds(20)}, &clock_};
  CallAdmission admission_{{{3, 2}, {1000, 600}, {5'000'000, 2'000'000}},
                           &readers_,
                           &encoder_,
                           &deliveries_,
                           &clock_,
                           metrics_.get()};
  std::unique_ptr<KeyRing> keys_;
};

TEST_F(DoorkeeperTest, WithoutKeysWhoCallsIsAnAddress) {
  const Doorkeeper door(nullptr, &admission_, /*trust_forwarded_for=*/false, metrics_.get());
  CallHeaders headers = From("10.0.0.1", "Bearer anything");
  headers.forwarded_for = "192.0.2.7";
  headers.deadline = absl::FromUnixSeconds(7);
  const Visit visit = door.Admit(headers);
  EXPECT_TRUE(visit.status.ok());
  EXPECT_EQ(visit.caller.peer, "ipv4:10.0.0.1:4711");
  EXPECT_EQ(visit.caller.principal, "10.0.0.1");
  EXPECT_EQ(visit.caller.key, nullptr);
  EXPECT_EQ(visit.caller.deadline, absl::FromUnixSeconds(7));
  EXPECT_EQ(admission_.open_calls(), 1u);
  const Doorkeeper trusting(nullptr, &admission_, /*trust_forwarded_for=*/true, metrics_.get());
  EXPECT_EQ(trusting.Admit(headers).caller.principal, "192.0.2.7");
}

TEST_F(DoorkeeperTest, APrincipalsCallsAreCountedUntilTheyEnd) {
  const Doorkeeper door(nullptr, &admission_, false, metrics_.get());
  Visit first = door.Admit(From("10.0.0.1"));
  const Visit second = door.Admit(From("10.0.0.1"));
  EXPECT_EQ(ReasonName(door.Admit(From("10.0.0.1")).status), "TOO_MANY_CALLS");
  first = {};
  EXPECT_TRUE(door.Admit(From("10.0.0.1")).status.ok());
}

TEST_F(DoorkeeperTest, WithKeysWhoCallsIsANameAndNobodyElseHasAPlace) {
  const Doorkeeper door(keys_.get(), &admission_, true, metrics_.get());
  const Visit visit = door.Admit(From("10.0.0.1", "Bearer alpha"));
  EXPECT_TRUE(visit.status.ok());
  EXPECT_EQ(visit.caller.principal, "10.0.0.2");
  ASSERT_NE(visit.caller.key, nullptr);
  // Whoever calls from the address that somebody has chosen for a name is not taken for them.
  const Visit stranger = door.Admit(From("10.0.0.2"));
  EXPECT_EQ(ReasonName(stranger.status), "KEY_MISSING");
  EXPECT_EQ(stranger.caller.principal, "");
  EXPECT_EQ(stranger.caller.peer, "ipv4:10.0.0.2:4711");
  EXPECT_EQ(ReasonName(door.Admit(From("10.0.0.2", "Bearer beta")).status), "KEY_UNKNOWN");
  EXPECT_EQ(admission_.open_calls(), 1u);
  EXPECT_EQ(Rejections(*metrics_, "KEY_MISSING"), 1);
  EXPECT_EQ(Rejections(*metrics_, "KEY_UNKNOWN"), 1);
}

}  // namespace
}  // namespace hmar
