#include "client/retry.h"

#include <algorithm>
#include <cmath>
#include <memory>

#include "absl/random/random.h"
#include "absl/time/clock.h"
#include "client/call_error.h"

namespace hmar {
namespace {

// The events of all tries of a call as one stream.
class Stream {
 public:
  Stream(v1::GenerateRequest request, const Client::EventCallback& on_event)
      : request_(std::move(request)), on_event_(on_event) {}

  // What the next try asks for.
  const v1::GenerateRequest& request() const { return request_; }

  // The callback has ended the call: it knows why.
  bool refused() const { return refused_; }

  absl::Status Take(const v1::GenerateResponse& event) {
    if (event.has_accepted()) accepted_ = event.accepted();
    if (!delivered_.Take(event)) return absl::OkStatus();
    absl::Status status = on_event_(event);
    refused_ = !status.ok();
    return status;
  }

  // Holds later tries to what Accepted said. Between tries: a try holds on to its request.
  void Settle() {
    if (!accepted_.has_value()) return;
    request_.set_seed(accepted_->seed());
    request_.set_model(accepted_->model());
  }

 private:
  v1::GenerateRequest request_;
  const Client::EventCallback& on_event_;
  std::optional<v1::Accepted> accepted_;
  Delivered delivered_;
  bool refused_ = false;
};

bool IsCancelled(const Canceller* canceller) {
  return canceller != nullptr && canceller->cancelled();
}

}  // namespace

bool MayPass(const absl::Status& failure) {
  switch (failure.code()) {
    case absl::StatusCode::kUnavailable:
      return true;
    case absl::StatusCode::kResourceExhausted:
      return RetryDelay(failure).has_value();
    case absl::StatusCode::kInternal:
    case absl::StatusCode::kUnknown:
    case absl::StatusCode::kCancelled:
      return ErrorReason(failure).empty();
    default:
      return false;
  }
}

std::optional<absl::Duration> RetrySchedule::WaitAfter(const absl::Status& failure) {
  if (!MayPass(failure) || failures_ >= policy_.retries) return std::nullopt;
  const absl::Duration own =
      std::min(policy_.longest_wait, policy_.first_wait * std::ldexp(1.0, failures_));
  const absl::Duration wait =
      RetryDelay(failure).value_or(own) * (1 + policy_.jitter * std::clamp(dice_(), 0.0, 1.0));
  if (waited_ + wait > policy_.budget) return std::nullopt;
  ++failures_;
  waited_ += wait;
  return wait;
}

bool Delivered::Take(const v1::GenerateResponse& event) {
  if (event.has_image()) return images_.insert(event.image().image_index()).second;
  if (!event.has_preview()) return true;
  const v1::Preview& preview = event.preview();
  return previews_.insert({preview.image_index(), preview.scale()}).second;
}

Retrying RetryingWith(const RetryPolicy& policy, Canceller* canceller) {
  return {
      .policy = policy,
      .now = [] { return absl::Now(); },
      .wait =
          [canceller](absl::Duration duration) {
            if (canceller != nullptr) return !canceller->AwaitCancel(duration);
            absl::SleepFor(duration);
            return true;
          },
      .dice = [bits = std::make_shared<absl::BitGen>()] { return absl::Uniform(*bits, 0.0, 1.0); }};
}

absl::Status GenerateWithRetries(const GenerateTry& generate, v1::GenerateRequest request,
                                 const Client::EventCallback& on_event, const CallOptions& options,
                                 const Retrying& retrying) {
  const absl::Time deadline = retrying.now() + options.timeout;
  RetrySchedule schedule(retrying.policy, retrying.dice);
  Stream stream(std::move(request), on_event);
  const auto take = [&stream](const v1::GenerateResponse& event) { return stream.Take(event); };
  CallOptions try_options = options;
  while (true) {
    absl::Status status = generate(stream.request(), take, try_options);
    if (status.ok() || stream.refused() || IsCancelled(options.canceller)) return status;
    const std::optional<absl::Duration> wait = schedule.WaitAfter(status);
    if (!wait.has_value() || retrying.now() + *wait >= deadline) return status;
    if (retrying.on_retry) retrying.on_retry(status, *wait);
    if (!retrying.wait(*wait)) return status;
    stream.Settle();
    try_options.timeout = deadline - retrying.now();
  }
}

}  // namespace hmar
