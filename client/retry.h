#ifndef HMAR_CLIENT_RETRY_H_
#define HMAR_CLIENT_RETRY_H_

// Other tries of a call that failed for a reason that passes: a server that is full, going down or
// not there, and an answer that was cut off on its way, because its server died say.
//
// Why a try is safe, even where the call had been accepted and had begun to answer: equal requests
// with equal seeds have equal bytes. Before Accepted nothing has been delivered; Accepted says the
// seed and the model, and what is sent from then on asks for these. So what a later try brings is
// the rest of the same answer, and what has been delivered is left out of it. Two things it does
// not promise: images of a request with ON_DEADLINE_DEGRADE depend on the load, and servers behind
// one address must have the same model of that name.

#include <cstdint>
#include <functional>
#include <optional>
#include <set>
#include <utility>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "client/client.h"
#include "hmar/v1/image_generation.pb.h"

namespace hmar {

struct RetryPolicy {
  uint32_t retries = 3;                                 // Tries after the first.
  absl::Duration budget = absl::Minutes(1);             // Of all waits together.
  absl::Duration first_wait = absl::Milliseconds(200);  // Where the server names none; they double
  absl::Duration longest_wait = absl::Seconds(5);       // up to this.
  double jitter = 0.2;  // Waits are longer by up to this share: not all clients come back at once.
};

// Whether the same call may succeed later: RESOURCE_EXHAUSTED with RetryInfo; UNAVAILABLE;
// INTERNAL, UNKNOWN or CANCELLED without a reason of the server's, which says one with every error:
// then it is the transport's, of an answer that was cut off. CANCELLED by this client is for the
// caller to know.
bool MayPass(const absl::Status& failure);

// The tries of one call. For one thread.
class RetrySchedule {
 public:
  // `dice` gives numbers from 0 to 1.
  RetrySchedule(const RetryPolicy& policy, std::function<double()> dice)
      : policy_(policy), dice_(std::move(dice)) {}

  // How long to wait until the next try: what the server named (RetryInfo), else twice as long as
  // the last time, and some more. Nothing: there is none; it may not pass, or all tries or the
  // budget are used up.
  std::optional<absl::Duration> WaitAfter(const absl::Status& failure);

 private:
  const RetryPolicy policy_;
  const std::function<double()> dice_;
  uint32_t failures_ = 0;
  absl::Duration waited_;
};

// What of an answer has been delivered, over all tries. Holds a few bytes an image and preview. For
// one thread.
class Delivered {
 public:
  // True: deliver it. False: an earlier try has. Accepted comes with every try, since each waits
  // anew, and so does Completed.
  bool Take(const v1::GenerateResponse& event);

 private:
  std::set<uint32_t> images_;
  std::set<std::pair<uint32_t, uint32_t>> previews_;  // Image, scale.
};

// What a retrying call needs of the world, and what it tells; tests bring their own.
struct Retrying {
  RetryPolicy policy = {};
  // Before each wait: why, and for how long. May be null.
  std::function<void(const absl::Status& failure, absl::Duration wait)> on_retry = nullptr;
  // These are never null.
  std::function<absl::Time()> now;
  std::function<bool(absl::Duration)> wait;  // False: the caller has cancelled meanwhile.
  std::function<double()> dice;
};

// The real clock and dice, and waits that end early when `canceller` (may be null) is cancelled.
Retrying RetryingWith(const RetryPolicy& policy, Canceller* canceller);

// One try: as Client::Generate.
using GenerateTry = std::function<absl::Status(const v1::GenerateRequest&,
                                               const Client::EventCallback&, const CallOptions&)>;

// Client::Generate, with other tries; options.timeout is that of all together, and a wait that
// would not end before it is not begun. Blocks. Returns the last try's error; never tries again
// after the callback's own, or once options.canceller is cancelled.
absl::Status GenerateWithRetries(const GenerateTry& generate, v1::GenerateRequest request,
                                 const Client::EventCallback& on_event, const CallOptions& options,
                                 const Retrying& retrying);

}  // namespace hmar

#endif  // HMAR_CLIENT_RETRY_H_
