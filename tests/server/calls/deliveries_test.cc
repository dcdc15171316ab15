#include "server/calls/deliveries.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tests/fakes/fake_clock.h"

namespace hmar {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// A call that lets go of what the test says, and keeps what it is told.
class FakeCall final : public Deliverer {
 public:
  explicit FakeCall(Deliveries* deliveries) : account(deliveries) {}

  bool Relieve(const std::string& message) override {
    relieved.push_back(message);
    return on_relieve != nullptr && on_relieve();
  }
  void Stop(const std::string& message) override { stopped.push_back(message); }

  Deliveries::Account account;
  std::function<bool()> on_relieve;
  std::vector<std::string> relieved;
  std::vector<std::string> stopped;
};

class DeliveriesTest : public ::testing::Test {
 protected:
  std::shared_ptr<FakeCall> NewCall(size_t bytes) {
    auto call = std::make_shared<FakeCall>(&deliveries_);
    call->account.Open(call);
    call->account.Hold(bytes);
    return call;
  }
  // One that lets go of all it holds.
  std::shared_ptr<FakeCall> NewYieldingCall(size_t bytes) {
    auto call = NewCall(bytes);
    call->on_relieve = [raw = call.get(), bytes] {
      raw->account.Release(bytes);
      return true;
    };
    return call;
  }

  FakeClock clock_;
  Deliveries deliveries_{{1000, absl::Seconds(20)}, &clock_};
};

TEST_F(DeliveriesTest, WithinTheLimitNobodyIsAsked) {
  const auto a = NewYieldingCall(400);
  const auto b = NewYieldingCall(600);
  deliveries_.Relieve();
  EXPECT_THAT(a->relieved, IsEmpty());
  EXPECT_THAT(b->relieved, IsEmpty());
  EXPECT_EQ(deliveries_.held_bytes(), 1000u);
}

TEST_F(DeliveriesTest, BeyondItTheOneThatHoldsMostLetsGoWhoeverCameLast) {
  const auto small = NewYieldingCall(300);
  const auto large = NewYieldingCall(500);
  const auto last = NewYieldingCall(400);
  deliveries_.Relieve();
  EXPECT_THAT(large->relieved, ElementsAre(AllOf(HasSubstr("1200 bytes"), HasSubstr("500 of them"),
                                                 HasSubstr("limit is 1000"))));
  EXPECT_THAT(small->relieved, IsEmpty());
  EXPECT_THAT(last->relieved, IsEmpty());
  EXPECT_EQ(deliveries_.held_bytes(), 700u);
}

TEST_F(DeliveriesTest, ACallLetsGoBitByBitUntilEnoughIsFree) {
  const auto call = NewCall(1500);
  call->on_relieve = [raw = call.get()] {
    raw->account.Release(200);
    return true;
  };
  deliveries_.Relieve();
  EXPECT_EQ(call->relieved.size(), 3u);
  EXPECT_EQ(deliveries_.held_bytes(), 900u);
}

TEST_F(DeliveriesTest, WhoHasNothingLeftToLetGoOfIsLeftAloneAndTheNextIsAsked) {
  const auto stubborn = NewCall(900);
  const auto next = NewYieldingCall(500);
  deliveries_.Relieve();
  deliveries_.Relieve();
  EXPECT_EQ(stubborn->relieved.size(), 1u);
  EXPECT_EQ(next->relieved.size(), 1u);
}

TEST_F(DeliveriesTest, ACallThatIsGoneHoldsNothing) {
  auto gone = NewYieldingCall(900);
  const auto closed = NewYieldingCall(800);
  closed->account.Close();
  closed->account.Hold(50);
  gone.reset();
  const auto call = NewYieldingCall(1000);
  deliveries_.Relieve();
  EXPECT_THAT(call->relieved, IsEmpty());
  EXPECT_EQ(deliveries_.held_bytes(), 1000u);
}

TEST_F(DeliveriesTest, ThereIsRoomUpToTheLimitOfAll) {
  const auto a = NewCall(600);
  const auto b = NewCall(300);
  EXPECT_TRUE(a->account.HasRoom(100));
  EXPECT_FALSE(b->account.HasRoom(101));
}

TEST_F(DeliveriesTest, ASendThatTakesTooLongStopsItsCallOnce) {
  const auto late = NewCall(1);
  const auto punctual = NewCall(1);
  const auto idle = NewCall(1);
  late->account.BeginSend();
  punctual->account.BeginSend();
  clock_.Advance(absl::Seconds(19));
  punctual->account.EndSend();
  punctual->account.BeginSend();  // A message of its own, with time of its own.
  deliveries_.StopLateSends();
  EXPECT_THAT(late->stopped, IsEmpty());
  clock_.Advance(absl::Seconds(1));
  deliveries_.StopLateSends();
  deliveries_.StopLateSends();
  EXPECT_THAT(late->stopped, ElementsAre(HasSubstr("20s")));
  EXPECT_THAT(punctual->stopped, IsEmpty());
  EXPECT_THAT(idle->stopped, IsEmpty());
}

TEST_F(DeliveriesTest, TheEndOfACallIsTheEndOfItsSend) {
  const auto call = NewCall(1);
  call->account.BeginSend();
  call->account.Close();
  clock_.Advance(absl::Minutes(1));
  deliveries_.StopLateSends();
  EXPECT_THAT(call->stopped, IsEmpty());
}

TEST_F(DeliveriesTest, ACallMayEndWhileItIsRelieved) {
  auto call = NewCall(5000);
  call->on_relieve = [&call] {
    call.reset();  // Deliveries keeps it until it returns.
    return false;
  };
  deliveries_.Relieve();
  EXPECT_EQ(deliveries_.held_bytes(), 0u);
}

}  // namespace
}  // namespace hmar
