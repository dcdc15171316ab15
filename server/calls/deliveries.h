#ifndef HMAR_SERVER_CALLS_DELIVERIES_H_
#define HMAR_SERVER_CALLS_DELIVERIES_H_

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

namespace hmar {

struct DeliveryOptions {
  size_t max_bytes = size_t{256} << 20;         // Held by all calls for their clients together.
  absl::Duration max_send = absl::Seconds(20);  // Until gRPC has got rid of one message.
};

// A call that delivers. Called without locks, by any thread, also when the call has ended.
// `message` says what was too much, for the client.
class Deliverer {
 public:
  virtual ~Deliverer() = default;

  // All calls together hold too much, and this one the most. Lets go of something, the least first:
  // previews; what is unsent, which ends the call; what gRPC holds. False: nothing is left to let
  // go of after this.
  virtual bool Relieve(const std::string& message) = 0;

  // Its client has not taken a message in time: ends the call, and what gRPC holds of it.
  virtual void Stop(const std::string& message) = 0;
};

// What all calls together hold for their clients, and since when: how much memory clients that read
// slowly can take, however many they are, and how long one that reads nothing is waited for.
//
// Every call has an account of the bytes it holds: its unsent events and the message that gRPC is
// sending. When the sum exceeds the limit, the call that holds most lets go, again and again until
// the sum is within: a client that keeps up has little here, and loses nothing to those that do
// not. Thread-safe.
class Deliveries {
 public:
  // `clock` outlives the object. Starts the thread that looks at the time of sends.
  Deliveries(const DeliveryOptions& options, const Clock* clock);
  // REQUIRES: no account is left.
  ~Deliveries();

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
    void Open(std::weak_ptr<Deliverer> owner);

    void Hold(size_t bytes);
    // REQUIRES: so many are held, or the account is closed.
    void Release(size_t bytes);
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
    std::weak_ptr<Deliverer> owner_;
    size_t bytes_ = 0;
    std::optional<absl::Time> send_deadline_;  // While a send is under way.
    bool spent_ = false;                       // Relieve said that nothing is left.
    bool closed_ = false;
  };

  // Makes calls let go until the limit is kept or none can any more. Whoever has made an account
  // grow calls this afterwards, without locks; one thread at a time does the work.
  void Relieve();

  // Stops the calls whose sends have taken too long by now. The thread's work; for tests.
  void StopLateSends();

  size_t held_bytes() const;

 private:
  using Victim = std::pair<Account*, std::shared_ptr<Deliverer>>;

  void SetBytes(Account* account, size_t bytes) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
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
  // Those that hold something they can let go of.
  std::set<std::pair<size_t, Account*>> by_bytes_ ABSL_GUARDED_BY(mutex_);
  std::set<std::pair<absl::Time, Account*>> by_deadline_ ABSL_GUARDED_BY(mutex_);
  bool relieving_ ABSL_GUARDED_BY(mutex_) = false;  // A thread is in Relieve.
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread watcher_;
};

}  // namespace hmar

#endif  // HMAR_SERVER_CALLS_DELIVERIES_H_
