#ifndef HMAR_SERVER_SCHEDULING_PRICING_H_
#define HMAR_SERVER_SCHEDULING_PRICING_H_

// What a request will cost and how long it will take, given what is in line before it.

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/time/time.h"
#include "model/sampling_plan.h"
#include "server/scheduling/admission.h"
#include "server/scheduling/cost_model.h"
#include "server/scheduling/image_table.h"
#include "server/scheduling/lag_estimate.h"
#include "server/scheduling/placement.h"
#include "server/scheduling/scheduler_options.h"
#include "server/scheduling/work.h"

namespace hmar {

// Thread-compatible.
class Pricing {
 public:
  // `options` outlives it.
  explicit Pricing(const SchedulerOptions* options);

  // A step of model `model` on `device` was measured. It counts for the other devices too, a tenth:
  // one that has not run the model yet is taken to be like them, and one that looks slow because of
  // a single slow step is tried again in time.
  void Observe(size_t device, size_t model, const MeasuredStep& step);
  // So many uploaded pictures were tokenized, likewise.
  void ObserveUploads(size_t device, size_t model, uint32_t pictures, absl::Duration took);

  // From an image's last pass to its picture, on this device; and from there to its client.
  void ObservePicture(size_t device, size_t model, absl::Duration took);
  void ObserveDelivery(absl::Duration took) { delivery_.Observe(absl::ToDoubleSeconds(took)); }
  // What both take: on the average, and at most, nearly always.
  absl::Duration TimeToClient(size_t device, size_t model) const;
  absl::Duration MostTimeToClient(size_t device, size_t model) const;
  absl::Duration TimeToClient(size_t model) const;  // The longest of all devices.

  // How much longer than ForwardTime and DecodingTime say steps take at most, nearly always; >= 1.
  double Pace(size_t device, size_t model) const;

  // What a request can be told, given all that `ahead` holds (id 0). `passes`: of each image.
  Admission Quote(const ImageTable& ahead, const Work& work, const std::vector<Pass>& passes,
                  absl::Time now) const;

  // Until all that the work's client has in line before it is done.
  absl::Duration ClientBacklogTime(const ImageTable& images, const Work& work) const;

  // Until all of `images` is done.
  absl::Duration BacklogTime(const ImageTable& images) const;

  // What the forward of a step of so many rows should take; zero before any step of the model,
  // never after.
  absl::Duration ForwardTime(size_t device, size_t model, uint64_t rows) const;
  // What so many pictures should add to a step.
  absl::Duration DecodingTime(size_t device, size_t model, uint32_t pictures) const;
  const CostModel& cost(size_t device, size_t model) const { return costs_[device][model]; }

  // The devices with what runs on them; what waits is still to be placed.
  Placement Running(const ImageTable& images) const;
  // Puts a waiting image where it will be done first, or where it must go. Returns that device.
  static size_t Place(const ImageRecord& image, Placement* placement);

 private:
  Placement Empty() const;
  // With all that the device has of other models than `model`.
  Placement OtherModels(const ImageTable& images, size_t model) const;
  // Seconds by which principals share the devices; before any step, rows.
  Prices PricesOf(size_t model) const;
  // What will be done before the last of the work's is that are in `more`, these included.
  Backlog Until(const ImageTable& table, const Work& work, const Backlog& more,
                const FairQueue::Outlook& outlook) const;
  // When all of `until` is done on devices that have `placement`, and what of it is `own`.
  static void Estimate(const Backlog& until, const Backlog& own, size_t model, uint32_t passes,
                       Placement placement, Admission* admission);
  // Puts a model's backlog where it will be done first, in parts.
  static void Spread(const Backlog& backlog, size_t model, uint32_t passes, Placement* placement);

  const SchedulerOptions& options_;
  std::vector<std::vector<CostModel>> costs_;               // By device and model.
  std::vector<std::vector<LagEstimate>> pictures_, paces_;  // Likewise.
  LagEstimate delivery_;
  std::vector<uint32_t> default_passes_;  // By model: of an image with its own sampling.
};

}  // namespace hmar

#endif  // HMAR_SERVER_SCHEDULING_PRICING_H_
