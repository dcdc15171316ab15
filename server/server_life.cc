// What becomes of a server once it is built: its probes, what breaks, its end.

#include <spdlog/logger.h>

#include <chrono>
#include <string>

#include "absl/strings/str_cat.h"
#include "model/status_macros.h"
#include "server/base/errors.h"
#include "server/scheduling/probe.h"
#include "server/server.h"

namespace hmar {
namespace {

constexpr absl::Duration kStopTime = absl::Seconds(5);  // For calls to end once they have failed.

}  // namespace

// The devices one after the other: each warms up alone, and a failure names the first.
void Server::ProbeModels() {
  for (size_t device = 0; device < loops_.size(); ++device) {
    const absl::Status status = ProbeDevice(device);
    if (draining_) return;
    if (status.ok()) continue;
    // Slow is what still reports steps.
    const absl::Duration hung = hang_watcher_->UnderWay(device);
    if (absl::IsDeadlineExceeded(status) && hung >= absl::Seconds(options_.probe_seconds) / 2) {
      return OnDeviceLost(device, status);
    }
    if (!losing_) Fail(status);  // A lost device tells of itself.
    return;
  }
  scheduler_->OpenToClients();
  ready_ = true;
  health_->SetReady();
  dependencies_.log->info("ready");
}

absl::Status Server::ProbeDevice(size_t device) {
  for (size_t model = 0; model < catalog_->models().size(); ++model) {
    HMAR_RETURN_IF_ERROR(Probe(scheduler_.get(), device, model, catalog_->models()[model].config,
                               absl::Seconds(options_.probe_seconds)));
  }
  return absl::OkStatus();
}

void Server::Fail(const absl::Status& status) {
  if (!failed_.exchange(true) && dependencies_.on_fatal) dependencies_.on_fatal(status);
}

void Server::OnLoadLate(const std::string& what) {
  Fail(ErrorOf(Reason::kDeviceLost,
               absl::StrCat(what, " not loaded within ", options_.load_seconds, " s")));
}

void Server::OnHungStep(const OverdueStep& step) {
  OnDeviceLost(step.device, absl::UnavailableError(absl::StrCat(
                                "a step hangs: it has not ended after ",
                                absl::FormatDuration(absl::Trunc(step.under_way, absl::Seconds(1))),
                                ", its limit is ", absl::FormatDuration(step.limit))));
}

void Server::OnDeviceLost(size_t device, const absl::Status& status) {
  const absl::Status lost = ErrorOf(
      Reason::kDeviceLost,
      absl::StrCat("device ", device_names_[device], " is lost: ", std::string(status.message())));
  const bool first = !losing_.exchange(true);
  health_->End();
  if (first) device_lost_.Notify();  // Before a drain sees the calls end of it.
  scheduler_->Stop(lost);
  Fail(lost);
}

void Server::HangUp(absl::Duration limit) {
  service_->active_calls().AwaitNone(limit);
  grpc_server_->Shutdown(std::chrono::system_clock::now());
}

void Server::AnnounceDrain(absl::Duration delay) {
  if (!ready_) return;
  health_->End();
  dependencies_.log->info("not serving, says health; taking requests for another {}",
                          absl::FormatDuration(delay));
  device_lost_.WaitForNotificationWithTimeout(delay);
}

bool Server::Drain(absl::Duration limit) {
  if (draining_.exchange(true)) return true;
  if (health_ != nullptr) health_->End();
  if (http_ != nullptr) http_->BeginDrain();
  if (scheduler_ != nullptr) scheduler_->BeginDrain();
  // What is not read yet is not accepted yet, and would be refused once it is.
  if (upload_readers_ != nullptr) upload_readers_->Stop();
  const bool finished = service_ == nullptr || service_->active_calls().AwaitNone(limit);
  const absl::Status going_down = ErrorOf(Reason::kDraining, "the server is going down");
  if (scheduler_ != nullptr) scheduler_->Stop(going_down);
  if (!finished) service_->active_calls().AwaitNone(kStopTime);
  if (prober_.joinable()) prober_.join();
  ClosePort();
  if (device_lost()) return false;
  JoinThreads();
  return finished;
}

// Ends what else is open, such as health watches, at once. Then nobody can upload or submit.
void Server::ClosePort() {
  listener_.reset();
  http_.reset();
  if (grpc_server_ != nullptr) grpc_server_->Shutdown(std::chrono::system_clock::now());
  metrics_server_.reset();
}

// The loops have run their last steps before the encoder goes, which they post to.
void Server::JoinThreads() {
  upload_readers_.reset();
  for (const std::unique_ptr<EngineLoop>& loop : loops_) loop->Join();
  hang_watcher_.reset();
  encoder_.reset();
}

}  // namespace hmar
