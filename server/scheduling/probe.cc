#include "server/scheduling/probe.h"

#include <memory>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"

namespace hmar {
namespace {

// Waits for a request of one image.
class ProbeListener final : public WorkListener {
 public:
  explicit ProbeListener(uint32_t image_size) : image_size_(image_size) {}

  void OnPreview(uint32_t, uint32_t, Picture) override {}

  void OnImage(uint32_t, FinishedImage image) override {
    const Picture& picture = image.picture;
    const size_t bytes = size_t{3} * image_size_ * image_size_;
    const bool right = picture.width == image_size_ && picture.height == image_size_ &&
                       picture.rgb.size() == bytes;
    End(right ? absl::OkStatus()
              : absl::InternalError(absl::StrCat("the picture is ", picture.width, " x ",
                                                 picture.height, " pixels in ", picture.rgb.size(),
                                                 " bytes, the model's size is ", image_size_)));
  }

  void OnFailed(const absl::Status& status) override { End(status); }

  // False: nothing came within `timeout`.
  bool Wait(absl::Duration timeout) const { return ended_.WaitForNotificationWithTimeout(timeout); }

  // REQUIRES: Wait returned true.
  const absl::Status& result() const { return result_; }

 private:
  void End(absl::Status result) {
    result_ = std::move(result);
    ended_.Notify();
  }

  const uint32_t image_size_;
  absl::Status result_;  // Written before ended_ is notified, read after.
  absl::Notification ended_;
};

absl::Status MakeOneImage(Scheduler* scheduler, size_t device, size_t model,
                          const ModelConfig& config, absl::Duration timeout) {
  auto listener = std::make_shared<ProbeListener>(config.image_size);
  Work work;
  work.job.model = model;
  work.device = device;
  work.probe = true;
  if (!config.classes.empty()) work.job.prototype.class_id = 0;
  work.job.prototype.sampling = config.sampling;
  work.origin.client = "probe";
  work.listener = listener;
  const absl::StatusOr<Admission> admission = scheduler->Submit(std::move(work));
  if (!admission.ok()) return admission.status();
  if (!listener->Wait(timeout)) {
    scheduler->Cancel(admission->id);
    return absl::DeadlineExceededError(
        absl::StrCat("no picture within ", absl::FormatDuration(timeout)));
  }
  return listener->result();
}

}  // namespace

absl::Status Probe(Scheduler* scheduler, size_t device, size_t model, const ModelConfig& config,
                   absl::Duration timeout) {
  absl::Status status = MakeOneImage(scheduler, device, model, config, timeout);
  if (status.ok()) return status;
  return absl::Status(status.code(), absl::StrCat("probe image of model ", config.name, ": ",
                                                  std::string(status.message())));
}

}  // namespace hmar
