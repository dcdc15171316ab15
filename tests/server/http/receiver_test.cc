#include "server/http/receiver.h"

#include <gtest/gtest.h>

#include <deque>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/base/errors.h"
#include "tests/fakes/fake_clock.h"
#include "tests/server/http/socket_pair.h"

namespace hmar {
namespace {

constexpr absl::Duration kPatience = absl::Seconds(60);
constexpr size_t kMaxBody = 10'000;
constexpr size_t kAllBodies = 30'000;
constexpr char kGet[] = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";

// Lets everybody in but those that ask for /no.
class OpenJudge final : public Judge {
 public:
  explicit OpenJudge(const Clock* clock)
      : bodies_({kAllBodies, kAllBodies}, clock, absl::Seconds(1)) {}

  Ruling Rule(const Connection& connection) override {
    Ruling ruling;
    if (connection.head.path == "/no") ruling.status = absl::PermissionDeniedError("no");
    ruling.max_body_bytes = kMaxBody;
    ruling.share = BodyShare(&bodies_, "somebody");
    return ruling;
  }

 private:
  Quota bodies_;
};

class ReceiverTest : public testing::Test {
 protected:
  ReceiverTest() { Make(ReceiverOptions()); }

  void Make(const ReceiverOptions& options) {
    receiver_ = std::make_unique<Receiver>(options, &clock_, &judge_,
                                           [this](std::unique_ptr<Connection> connection) {
                                             absl::MutexLock lock(&mutex_);
                                             delivered_.push_back(std::move(connection));
                                           });
  }

  std::unique_ptr<ClientEnd> Connect() {
    auto [client, channel] = ClientEnd::Connect();
    receiver_->Add(MakeConnection(std::move(channel)));
    return std::move(client);
  }

  // The next connection that has a request; null if none comes.
  std::unique_ptr<Connection> Next() {
    const auto some = [this]()
                          ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return !delivered_.empty(); };
    absl::MutexLock lock(&mutex_);
    if (!mutex_.AwaitWithTimeout(absl::Condition(&some), kPatience)) return nullptr;
    std::unique_ptr<Connection> next = std::move(delivered_.front());
    delivered_.pop_front();
    return next;
  }

  // Until the receiver has seen what was sent: it takes connections in their order.
  void AwaitTurn() {
    const auto client = Connect();
    client->Send(kGet);
    ASSERT_NE(Next(), nullptr);
  }

  FakeClock clock_;
  OpenJudge judge_{&clock_};
  absl::Mutex mutex_;
  std::deque<std::unique_ptr<Connection>> delivered_ ABSL_GUARDED_BY(mutex_);
  std::unique_ptr<Receiver> receiver_;
};

int FaultOf(const Connection& connection) {
  return connection.ruling.fault.has_value() ? connection.ruling.fault->status : 0;
}

TEST_F(ReceiverTest, ARequestIsDeliveredWhenItIsThereInFull) {
  const auto client = Connect();
  const std::string text = "POST /x HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n\r\nbody";
  for (const char c : text) client->Send(absl::string_view(&c, 1));
  const auto connection = Next();
  ASSERT_NE(connection, nullptr);
  EXPECT_EQ(connection->head.path, "/x");
  EXPECT_EQ(connection->body.body(), "body");
  EXPECT_EQ(FaultOf(*connection), 0);
  EXPECT_EQ(connection->requests, 1);
}

TEST_F(ReceiverTest, RequestsThatComeTogetherAreDeliveredOneByOne) {
  const auto client = Connect();
  client->Send(absl::StrCat("POST /1 HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\nGET", kGet,
                            "GET /3 HTTP/1.1\r\nhost: a\r\n\r\n"));
  auto connection = Next();
  EXPECT_EQ(connection->body.body(), "GET");
  receiver_->Return(std::move(connection));
  connection = Next();
  EXPECT_EQ(connection->head.path, "/");
  receiver_->Return(std::move(connection));
  connection = Next();
  EXPECT_EQ(connection->head.path, "/3");
  EXPECT_EQ(connection->requests, 3);
  EXPECT_EQ(connection->received, "");
}

TEST_F(ReceiverTest, AClientMayWaitToBeToldToSendItsBody) {
  const auto client = Connect();
  client->Send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\nexpect: 100-continue\r\n\r\n");
  EXPECT_EQ(client->Receive(), "HTTP/1.1 100 Continue\r\n\r\n");
  client->Send("body");
  EXPECT_EQ(Next()->body.body(), "body");
}

TEST_F(ReceiverTest, NoByteOfABodyThatIsRefusedIsWaitedFor) {
  const auto client = Connect();
  client->Send("POST /no HTTP/1.1\r\nhost: a\r\ncontent-length: 4000\r\n\r\n");
  const auto connection = Next();
  EXPECT_EQ(connection->ruling.status.code(), absl::StatusCode::kPermissionDenied);
  EXPECT_TRUE(connection->body_unread);
}

TEST_F(ReceiverTest, LateRequestsAreToldSoAndIdleConnectionsAreClosed) {
  const auto idle = Connect();
  const auto head = Connect();
  const auto body = Connect();
  head->Send("GET / HT");
  body->Send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n\r\nbod");
  AwaitTurn();
  clock_.Advance(ReceiverOptions().receive - absl::Milliseconds(1));
  AwaitTurn();
  body->Send("");
  clock_.Advance(absl::Milliseconds(1));
  for (int i = 0; i < 2; ++i) {
    const auto late = Next();
    ASSERT_NE(late, nullptr);
    EXPECT_EQ(FaultOf(*late), 408);
    EXPECT_TRUE(late->body_unread);
  }
  clock_.Advance(ReceiverOptions().idle);
  EXPECT_TRUE(idle->AwaitEnd());
}

// The time is for all of it: who sends a byte now and then gains nothing.
TEST_F(ReceiverTest, BytesInBetweenDoNotBuyTime) {
  const auto client = Connect();
  const absl::Duration step = ReceiverOptions().receive / 4;
  for (int i = 0; i < 4; ++i) {
    client->Send("x");
    AwaitTurn();
    clock_.Advance(step);
  }
  EXPECT_EQ(FaultOf(*Next()), 408);
}

TEST_F(ReceiverTest, HeadsAreBoundedEachAndTogether) {
  const auto client = Connect();
  client->Send(std::string(kMaxHeadBytes + 1, 'x'));
  EXPECT_EQ(FaultOf(*Next()), 431);

  ReceiverOptions options;
  options.head_bytes = 100'000;
  Make(options);
  std::vector<std::unique_ptr<ClientEnd>> clients;
  for (int i = 0; i < 4; ++i) {
    clients.push_back(Connect());
    clients.back()->Send(std::string(40'000, 'x'));
  }
  const auto third = Next();  // It makes room for the fourth.
  EXPECT_EQ(ReasonName(third->ruling.status), "TOO_MANY_CALLS") << "it may come again";
  EXPECT_TRUE(RetryDelayOf(third->ruling.status).has_value());
  AwaitTurn();  // Small ones have their room whatever others hold.
}

TEST_F(ReceiverTest, BodiesOfUnknownLengthTakeTheirShareAsTheyCome) {
  const std::string chunk =
      absl::StrCat(absl::Hex(kMaxBody - 1), "\r\n", std::string(kMaxBody - 1, 'x'), "\r\n");
  std::vector<std::unique_ptr<ClientEnd>> clients;
  for (int i = 0; i < 4; ++i) {
    clients.push_back(Connect());
    clients.back()->Send("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n" +
                         chunk);
  }
  for (int i = 0; i < 2; ++i) {  // The others have what there is, and wait for their last chunk.
    EXPECT_EQ(ReasonOf(Next()->ruling.status), Reason::kUploadBacklog);
  }
  clients[0]->Send("0\r\n\r\n");
  EXPECT_EQ(Next()->body.size(), kMaxBody - 1);
  clients[1]->Send("2\r\n");
  EXPECT_EQ(FaultOf(*Next()), 413);
}

TEST_F(ReceiverTest, DamagedRequestsAreAnsweredAndNothingBehindThemIsRead) {
  const auto client = Connect();
  client->Send(absl::StrCat(
      "GET / HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n", kGet));
  const auto connection = Next();
  EXPECT_EQ(FaultOf(*connection), 400);
  EXPECT_TRUE(connection->body_unread);
}

TEST_F(ReceiverTest, AClientHasAWhileToReadItsLastAnswer) {
  const auto client = Connect();
  client->Send(kGet);
  auto connection = Next();
  size_t sent = 0;
  ASSERT_EQ(connection->channel->Write("bye", &sent), Io::kDone);
  receiver_->Linger(std::move(connection));
  client->Send("more of a body that nobody reads");
  EXPECT_EQ(client->Receive(), "bye");
  EXPECT_TRUE(client->AwaitEnd());
  AwaitTurn();
  EXPECT_EQ(receiver_->parked(), 1u) << "until the client closes, too, or its time is over";
  clock_.Advance(ReceiverOptions().linger);
  while (receiver_->parked() > 0) AwaitTurn();
}

TEST_F(ReceiverTest, IdleConnectionsCanBeClosedWhileNewOnesAreHeard) {
  const auto old = Connect();
  old->Send(kGet);
  receiver_->Return(Next());
  const auto fresh = Connect();
  AwaitTurn();
  receiver_->CloseIdle();
  EXPECT_TRUE(old->AwaitEnd());
  fresh->Send(kGet);
  EXPECT_EQ(Next()->head.path, "/");
}

TEST_F(ReceiverTest, ACrowdThatSaysNothingKeepsNobodyWaiting) {
  std::vector<std::unique_ptr<ClientEnd>> crowd;
  for (int i = 0; i < 300; ++i) crowd.push_back(Connect());
  for (const auto& client : crowd) client->Send("GET ");
  AwaitTurn();
  for (const auto& client : crowd) client->Close();
  while (receiver_->parked() > 0) AwaitTurn();
}

TEST_F(ReceiverTest, ItsEndIsTheEndOfWhatIsHere) {
  const auto client = Connect();
  AwaitTurn();
  receiver_.reset();
  EXPECT_TRUE(client->AwaitEnd());
}

}  // namespace
}  // namespace hmar
