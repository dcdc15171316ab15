#ifndef HMAR_SERVER_CALLS_DELIVERIES_H_
#define HMAR_SERVER_CALLS_DELIVERIES_H_

#include <array>
#include <cstddef>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "server/base/clock.h"
#include "server/base/holding_time.h"
#include "server/base/quota.h"
#include "server/calls/holder_ranking.h"

namespace hmar {

struct DeliveryOptions {
  size_t max_bytes = size_t{256} << 20;  // Held by all calls for their clients together.
  // Holding so much of that but for previews, all calls or one principal's, there is no room for
  // more: where all do, for those of principals that hold no less than others on average.
  size_t full_bytes = size_t{192} << 20;
  size_t principal_full_bytes = size_t{128} << 20;
  absl::Duration max_send = absl::Seconds(20);  // Until gRPC has got rid of one message.
};

// A call that delivers. Called without locks, by any thread, also when the call has ended.
class Deliverer {
 public:
  virtual ~Deliverer() = default;

  // All calls together hold too much, and this one the most previews: lets go of all that gRPC does
  // not have yet.
  virtual void DropPreviews() = 0;

  // They still do when nobody holds a preview, and this call holds the most. Lets go of something,
  // the least first: what is unsent, which ends the call; what gRPC holds. False: nothing is left
  // to let go of after this. `message` says what was too much, for the client.
  virtual bool Relieve(const std::string& message) = 0;

  // Its client has not taken a message in time: ends the call, and what gRPC holds of it.
  virtual void Stop(const std::string& message) = 0;
};

// What all calls together hold for their clients, and since when: how much memory clients that read
// slowly can take, however many they are, and how long one that reads nothing is waited for.
//
// Every call has an account of the bytes it holds: its unsent events, and twice the event that gRPC
// is sending, of which gRPC makes a copy. When the sum exceeds the limit, previews go first,
// whosever they are, since a preview is worth nothing once its image is there: those of the
// principal that holds most of them, of its calls the one that does, again and again. A picture is
// never dropped alone: what it cost would be lost without its client's knowing. If pictures alone
// are too much, the call that holds most of the principal that holds most is ended, with
// CLIENT_TOO_SLOW. So a client that keeps up has little here, and loses nothing to those that do
// not, whether they hold much in one call or little in each of many. Nobody waits for room: the
// encoder's threads are everybody's. Thread-safe.
class Deliveries {
 public:
  // `clock` outlives the object. Starts the thread that looks at the time of sends.
  Deliveries(const DeliveryOptions& options, const Clock* clock);
  // REQUIRES: no account is left.
  ~Deliveries();

  enum class Holding {
    kPreviews,  // Unsent, and may be dropped.
    kRest,
  };

  // One call's part; closed by its destructor. Thread-safe: its fields are guarded by the
  // Deliveries' mutex, which is held for no longer than a few look-ups.
  class Account {
   public:
    // `deliveries` outlives the account.
    explicit Account(Deliveries* deliveries) : deliveries_(*deliveries) {}
    ~Account() { Close(); }
    Account(const Account&) = delete;
    Account& operator=(const Account&) = delete;

    // Whose account it is. Call once, before all else.
    void Open(std::weak_ptr<Deliverer> owner, std::string principal);

    void Hold(Holding what, size_t bytes);
    // REQUIRES: so many are held, or the account is closed.
    void Release(Holding what, size_t bytes);
    // So many more would keep all within the limit.
    bool HasRoom(size_t bytes) const;

    // gRPC has a message or the call's end to get rid of, from now until EndSend.
    void BeginSend();
    void EndSend();

    // Nothing is held or sent any more, whatever is called later.
    void Close();

   private:
    friend class Deliveries;
    Deliveries& deliveries_;
    size_t& bytes(Holding what) { return bytes_[static_cast<size_t>(what)]; }

    std::weak_ptr<Deliverer> owner_;
    std::string principal_;
    std::array<size_t, 2> bytes_ = {};         // By Holding.
    std::optional<absl::Time> send_deadline_;  // While a send is under way.
    bool spent_ = false;                       // Relieve said that nothing is left.
    bool closed_ = false;
  };

  // Makes calls let go until the limit is kept or none can any more. Whoever has made an account
  // grow calls this afterwards, without locks; one thread at a time does the work.
  void Relieve();

  // Stops the calls whose sends have taken too long by now. The thread's work; for tests.
  void StopLateSends();

  // Whether there is no room for more calls of the principal's, until its client has read: what is
  // short then. Whoever reads what it gets is let in, however much others hold: room is made for it
  // when it is needed.
  std::optional<Shortage> ShortFor(const std::string& principal) const;

  // What waits now, and its limit. For a few pictures, one a thread of the encoder, it may be more:
  // they are counted before room is made for them.
  size_t held_bytes() const;
  size_t limit_bytes() const { return options_.max_bytes; }

 private:
  // Who is to let go, and whether of previews.
  struct Victim {
    Account* account;
    std::shared_ptr<Deliverer> owner;
    bool previews;
  };

  HolderRanking<Account>& RankingOf(Holding what) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return rankings_[static_cast<size_t>(what)];
  }
  void SetBytes(Account* account, Holding what, size_t bytes) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Its bytes are no longer there to be let go of.
  void Spend(Account* account) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void SetDeadline(Account* account, std::optional<absl::Time> deadline)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Nothing: enough has been let go of, or there is no more; the work is done.
  std::optional<Victim> NextToRelieve(std::string* message);
  std::shared_ptr<Deliverer> NextLate();
  void Watch();

  const DeliveryOptions options_;
  const Clock* const clock_;
  mutable absl::Mutex mutex_;
  size_t held_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  size_t preview_bytes_ ABSL_GUARDED_BY(mutex_) = 0;  // Of these.
  HoldingTime holding_ ABSL_GUARDED_BY(mutex_);
  // By Holding: those that hold something they can let go of.
  std::array<HolderRanking<Account>, 2> rankings_ ABSL_GUARDED_BY(mutex_);
  std::set<std::pair<absl::Time, Account*>> by_deadline_ ABSL_GUARDED_BY(mutex_);
  bool relieving_ ABSL_GUARDED_BY(mutex_) = false;  // A thread is in Relieve.
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread watcher_;
};

}  // namespace hmar

#endif  // HMAR_SERVER_CALLS_DELIVERIES_H_
