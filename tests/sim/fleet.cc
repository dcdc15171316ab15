#include "tests/sim/fleet.h"

#include <algorithm>
#include <deque>
#include <memory>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "model/status_macros.h"
#include "tests/sim/call_maker.h"
#include "tests/sim/zone.h"

namespace hmar::sim {
namespace {

// Zone `index`'s part of so many replicas.
uint32_t PartOf(uint32_t replicas, uint32_t index, uint32_t zones) {
  return replicas / zones + (index < replicas % zones ? 1 : 0);
}

void Join(const ZoneView& more, ZoneView* all) {
  all->ready += more.ready;
  all->starting += more.starting;
  all->draining += more.draining;
  all->waiting += more.waiting;
  all->running += more.running;
  all->queued_seconds += more.queued_seconds;
  all->images += more.images;
  all->calls += more.calls;
  all->latencies.insert(all->latencies.end(), more.latencies.begin(), more.latencies.end());
  all->replica_seconds += more.replica_seconds;
  all->use.Add(more.use);
}

// One of the autoscaler's metrics: a mean over a window that ended a while ago.
class Metric {
 public:
  Metric(ScalingMetric which, const FleetOptions& options)
      : which_(which),
        window_(Syncs(options.metric_window, options)),
        lag_(Syncs(options.metric_lag, options)) {}

  // `seconds`: since the view before.
  void Add(const ZoneView& view, double seconds) {
    sums_.push_back(Ratio(view, seconds));
    running_ = view.running;
    if (sums_.size() > window_ + lag_) sums_.pop_front();
  }

  std::optional<double> Mean() const {
    double sum = 0, count = 0;
    for (size_t i = 0; i + lag_ < sums_.size(); ++i) {
      sum += sums_[i].first;
      count += sums_[i].second;
    }
    if (count == 0) return std::nullopt;
    return sum / count;
  }

 private:
  // What is divided by what.
  std::pair<double, double> Ratio(const ZoneView& view, double seconds) const {
    switch (which_) {
      case ScalingMetric::kQueueSeconds:
        return {view.queued_seconds, view.images};
      case ScalingMetric::kWaitSeconds: {
        const double begun = static_cast<double>(view.images) + view.running - running_;
        return {view.waiting * seconds, std::max(begun, kLeastBegun * seconds)};
      }
      case ScalingMetric::kBusyShare:
        return {view.use.busy_seconds, view.ready * seconds};
      case ScalingMetric::kImagesPerPod:
        return {view.waiting + view.running, view.ready};
    }
    return {};
  }

  static size_t Syncs(absl::Duration time, const FleetOptions& options) {
    return static_cast<size_t>((time + options.autoscaler.sync - absl::Nanoseconds(1)) /
                               options.autoscaler.sync);
  }

  static constexpr double kLeastBegun = 0.01;  // Images a second, as the chart's query has it.

  const ScalingMetric which_;
  const size_t window_, lag_;  // In looks of the autoscaler.
  double running_ = 0;         // Of the view before.
  std::deque<std::pair<double, double>> sums_;
};

class Fleet {
 public:
  Fleet(const FleetOptions& options, CallMaker calls)
      : options_(options),
        calls_(std::move(calls)),
        path_(options.traffic, options.length, options.seed),
        autoscaler_(options.autoscaler),
        wanted_(options.replicas) {
    for (const ScalingTarget& target : options.autoscaler.targets) {
      metrics_.emplace_back(target.metric, options);
    }
    load::Random seeds(options.seed);
    for (uint32_t i = 0; i < options.zones; ++i) {
      zones_.push_back(std::make_unique<Zone>(&options_, &calls_, &path_, 1.0 / options.zones,
                                              PartOf(wanted_, i, options.zones), seeds.Next()));
    }
  }

  FleetResult Run();

 private:
  void RunUntil(absl::Duration time);
  ZoneView TakeView();
  void Look(absl::Duration from, absl::Duration to);
  void Autoscale(absl::Duration now, uint32_t ready);
  Moment MomentOf(ZoneView& view, absl::Duration from, absl::Duration to) const;
  bool Ended() const;

  const FleetOptions& options_;
  const CallMaker calls_;
  const RatePath path_;
  Autoscaler autoscaler_;
  std::vector<Metric> metrics_;  // In the order of the targets.
  uint32_t wanted_;
  std::vector<std::unique_ptr<Zone>> zones_;
  FleetResult result_;
};

FleetResult Fleet::Run() {
  result_.seconds = absl::ToDoubleSeconds(options_.length - options_.warm_up);
  absl::Duration now;
  while (now < options_.length) {
    absl::Duration next = now + options_.autoscaler.sync;
    if (now < options_.warm_up) next = std::min(next, options_.warm_up);
    next = std::min(next, options_.length);
    RunUntil(next);
    Look(now, next);
    now = next;
  }
  for (const auto& zone : zones_) zone->EndArrivals();
  while (!Ended()) RunUntil(now += options_.autoscaler.sync);
  result_.kinds.resize(options_.kinds.size());
  for (const auto& zone : zones_) {
    for (size_t i = 0; i < result_.kinds.size(); ++i) result_.kinds[i].Add(zone->outcomes()[i]);
  }
  return std::move(result_);
}

// Zones share nothing, so who runs which is nobody's concern.
void Fleet::RunUntil(absl::Duration time) {
  const absl::Time until = absl::UnixEpoch() + time;
  const size_t threads = std::min<size_t>(options_.threads, zones_.size());
  const auto run = [&](size_t first) {
    for (size_t i = first; i < zones_.size(); i += threads) zones_[i]->RunUntil(until);
  };
  std::vector<std::thread> others;
  for (size_t i = 1; i < threads; ++i) others.emplace_back(run, i);
  run(0);
  for (std::thread& other : others) other.join();
}

ZoneView Fleet::TakeView() {
  ZoneView all;
  for (const auto& zone : zones_) Join(zone->TakeView(), &all);
  return all;
}

void Fleet::Look(absl::Duration from, absl::Duration to) {
  ZoneView view = TakeView();
  if (from >= options_.warm_up) {
    result_.images += view.images;
    result_.replica_seconds += view.replica_seconds;
    result_.use.Add(view.use);
  }
  for (Metric& metric : metrics_) metric.Add(view, absl::ToDoubleSeconds(to - from));
  if (!metrics_.empty()) Autoscale(to, view.ready);
  result_.moments.push_back(MomentOf(view, from, to));
}

void Fleet::Autoscale(absl::Duration now, uint32_t ready) {
  Autoscaler::Metrics means;
  for (const Metric& metric : metrics_) means.push_back(metric.Mean());
  wanted_ = autoscaler_.Sync(absl::UnixEpoch() + now, wanted_, ready, means);
  for (uint32_t i = 0; i < options_.zones; ++i) {
    zones_[i]->Scale(PartOf(wanted_, i, options_.zones));
  }
}

Moment Fleet::MomentOf(ZoneView& view, absl::Duration from, absl::Duration to) const {
  const double seconds = absl::ToDoubleSeconds(to - from);
  Moment moment;
  moment.seconds = absl::ToDoubleSeconds(to);
  moment.calls_per_second = static_cast<double>(view.calls) / seconds;
  moment.images_per_second = static_cast<double>(view.images) / seconds;
  moment.ready = view.ready;
  moment.starting = view.starting;
  moment.draining = view.draining;
  moment.wanted = wanted_;
  moment.waiting = view.waiting;
  if (view.images > 0) moment.queue_seconds = view.queued_seconds / view.images;
  if (view.replica_seconds > 0) moment.busy = view.use.busy_seconds / view.replica_seconds;
  moment.p50_seconds = Quantile(view.latencies, 0.5);
  moment.p99_seconds = Quantile(view.latencies, 0.99);
  return moment;
}

bool Fleet::Ended() const {
  return std::all_of(zones_.begin(), zones_.end(),
                     [](const auto& zone) { return zone->open_calls() == 0; });
}

}  // namespace

absl::Status CheckFleet(const FleetOptions& options) {
  HMAR_RETURN_IF_ERROR(CheckTraffic(options.traffic));
  HMAR_RETURN_IF_ERROR(CheckProfile("of the fleet", options.profile));
  const auto bad = [](auto&&... what) { return absl::InvalidArgumentError(absl::StrCat(what...)); };
  if (options.kinds.empty()) return bad("the mix has no kind, must have one at least");
  if (options.replicas < 1 || options.replicas > 1000) {
    return bad("there are ", options.replicas, " replicas, must be 1 to 1000");
  }
  if (options.zones < 1 || options.zones > options.replicas) {
    return bad("there are ", options.zones, " zones, must be 1 to as many as replicas, ",
               options.replicas);
  }
  if (options.warm_up < absl::ZeroDuration() || options.warm_up >= options.length) {
    return bad("the warm-up is ", absl::FormatDuration(options.warm_up), ", must be below ",
               absl::FormatDuration(options.length), ", the length");
  }
  if (options.threads < 1 || options.principals < 1 || options.tries < 1 || options.tries > 20) {
    return bad("threads, principals and tries must be 1 at least, tries 20 at most");
  }
  for (const ScalingTarget& target : options.autoscaler.targets) {
    if (!(target.value > 0)) {
      return bad("a target of the autoscaler is ", target.value, ", must be above 0");
    }
  }
  if (!options.autoscaler.targets.empty() &&
      (options.autoscaler.min_replicas < options.zones ||
       options.autoscaler.max_replicas < options.autoscaler.min_replicas)) {
    return bad("the autoscaler's least replicas are ", options.autoscaler.min_replicas,
               ", must be ", options.zones, ", the zones, to ", options.autoscaler.max_replicas,
               ", its most");
  }
  return absl::OkStatus();
}

absl::StatusOr<FleetResult> Simulate(const FleetOptions& options) {
  HMAR_RETURN_IF_ERROR(CheckFleet(options));
  HMAR_ASSIGN_OR_RETURN(CallMaker calls,
                        CallMaker::Make(options.kinds, options.profile, options.principals));
  return Fleet(options, std::move(calls)).Run();
}

}  // namespace hmar::sim
