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

  void DropPreviews() override {
    const size_t bytes = std::exchange(preview_bytes, 0);
    dropped_at.push_back(bytes);
    account.Release(Deliveries::Holding::kPreviews, bytes);
  }
  bool Relieve(const std::string& message) override {
    relieved.push_back(message);
    return on_relieve != nullptr && on_relieve();
  }
  void Stop(const std::string& message) override { stopped.push_back(message); }

  Deliveries::Account account;
  void HoldPreviews(size_t bytes) {
    preview_bytes += bytes;
    account.Hold(Deliveries::Holding::kPreviews, bytes);
  }

  std::function<bool()> on_relieve;
  size_t preview_bytes = 0;
  std::vector<size_t> dropped_at;  // What it held each time that it was told to drop previews.
  std::vector<std::string> relieved;
  std::vector<std::string> stopped;
};

class DeliveriesTest : public ::testing::Test {
 protected:
  static constexpr auto kRest = Deliveries::Holding::kRest;

  std::shared_ptr<FakeCall> NewCall(size_t bytes, const std::string& principal = "somebody") {
    auto call = std::make_shared<FakeCall>(&deliveries_);
    call->account.Open(call, principal);
    call->account.Hold(kRest, bytes);
    return call;
  }
  // One that lets go of all it holds.
  std::shared_ptr<FakeCall> NewYieldingCall(size_t bytes,
                                            const std::string& principal = "somebody") {
    auto call = NewCall(bytes, principal);
    call->on_relieve = [raw = call.get(), bytes] {
      raw->account.Release(kRest, bytes);
      return true;
    };
    return call;
  }

  FakeClock clock_;
  Deliveries deliveries_{{1000, 800, 500, absl::Seconds(20)}, &clock_};
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

TEST_F(DeliveriesTest, PreviewsOfAllCallsGoBeforeAPictureOfAny) {
  const auto pictures = NewYieldingCall(700);
  const auto few = NewCall(50);
  const auto many = NewCall(50);
  few->HoldPreviews(90);
  many->HoldPreviews(110);
  deliveries_.Relieve();
  EXPECT_THAT(many->dropped_at, IsEmpty());  // All is within the limit.
  few->account.Hold(kRest, 80);
  deliveries_.Relieve();
  EXPECT_THAT(many->dropped_at, ElementsAre(110));  // That was enough.
  EXPECT_THAT(few->dropped_at, IsEmpty());
  few->account.Hold(kRest, 200);
  deliveries_.Relieve();
  EXPECT_THAT(few->dropped_at, ElementsAre(90));
  EXPECT_THAT(pictures->relieved, ElementsAre(HasSubstr("1080 bytes")));
}

TEST_F(DeliveriesTest, ManySmallCallsOfOneClientDoNotHideBehindALargeOneOfAnother) {
  const auto large = NewYieldingCall(400, "patient");
  const auto a = NewYieldingCall(200, "greedy");
  const auto b = NewYieldingCall(300, "greedy");
  const auto c = NewYieldingCall(200, "greedy");
  deliveries_.Relieve();
  EXPECT_THAT(large->relieved, IsEmpty());
  EXPECT_EQ(b->relieved.size(), 1u);
  EXPECT_EQ(a->relieved.size() + c->relieved.size(), 0u);
}

TEST_F(DeliveriesTest, PreviewsOfTheClientThatHoldsMostOfThemGoFirst) {
  const auto large = NewCall(0, "patient");
  const auto a = NewCall(0, "greedy");
  const auto b = NewCall(0, "greedy");
  large->HoldPreviews(400);
  a->HoldPreviews(300);
  b->HoldPreviews(310);
  deliveries_.Relieve();
  EXPECT_THAT(large->dropped_at, IsEmpty());
  EXPECT_THAT(b->dropped_at, ElementsAre(310));
  EXPECT_EQ(deliveries_.held_bytes(), 700u);
}

TEST_F(DeliveriesTest, WithTooManyPicturesUnreadThereIsNoRoomForMoreCalls) {
  const auto a = NewCall(499, "a");
  EXPECT_FALSE(deliveries_.ShortFor("a").has_value());
  a->account.Hold(kRest, 1);
  std::optional<Shortage> shortage = deliveries_.ShortFor("a");
  ASSERT_TRUE(shortage.has_value());
  EXPECT_TRUE(shortage->of_principal);
  EXPECT_EQ(shortage->held, 500u);
  EXPECT_EQ(shortage->limit, 500u);
  EXPECT_FALSE(deliveries_.ShortFor("b").has_value());
  a->account.Release(kRest, 50);
  const auto b = NewCall(50, "b");
  const auto c = NewCall(299, "c");
  c->HoldPreviews(200);  // Which go when they must.
  EXPECT_FALSE(deliveries_.ShortFor("a").has_value());
  c->account.Hold(kRest, 1);
  shortage = deliveries_.ShortFor("a");
  ASSERT_TRUE(shortage.has_value());
  EXPECT_FALSE(shortage->of_principal);
  EXPECT_EQ(shortage->held, 800u);
  EXPECT_EQ(shortage->limit, 800u);
  EXPECT_TRUE(deliveries_.ShortFor("c").has_value());   // More than a third of 800.
  EXPECT_FALSE(deliveries_.ShortFor("b").has_value());  // Less.
  EXPECT_FALSE(deliveries_.ShortFor("d").has_value());
}

TEST_F(DeliveriesTest, WhoIsTooMuchIsToldWhenAsMuchWillHaveBeenRead) {
  const auto call = NewCall(0, "a");
  for (int i = 0; i < 100; ++i) {  // Events of 100 bytes, each read after two seconds.
    call->account.Hold(kRest, 100);
    clock_.Advance(absl::Seconds(2));
    call->account.Release(kRest, 100);
  }
  call->account.Hold(kRest, 599);
  EXPECT_NEAR(absl::ToDoubleSeconds(deliveries_.ShortFor("a")->wait), 2 * 100.0 / 599, 0.02);
}

TEST_F(DeliveriesTest, ACallLetsGoBitByBitUntilEnoughIsFree) {
  const auto call = NewCall(1500);
  call->on_relieve = [raw = call.get()] {
    raw->account.Release(kRest, 200);
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
  closed->account.Hold(kRest, 50);
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
