#include "server/scheduling/batch_policy.h"

#include <algorithm>
#include <map>
#include <set>
#include <tuple>

namespace hmar {
namespace {

// What images add to a step.
struct Load {
  double rows = 0;
  double pictures = 0;

  template <typename Image>
  static Load Of(const Image& image) {
    return {static_cast<double>(image.rows), static_cast<double>(image.pictures)};
  }
  friend Load operator+(const Load& a, const Load& b) {
    return {a.rows + b.rows, a.pictures + b.pictures};
  }
};

// Builds one model's step, image by image.
class StepBuilder {
 public:
  StepBuilder(const PolicyInput& input, size_t model)
      : state_(input.models[model]),
        measured_(state_.cost != nullptr && state_.cost->measured()),
        max_rows_(std::min(input.max_step_rows, state_.max_step_rows)),
        budget_(max_rows_),
        free_slots_(state_.free_slots) {
    choice_.model = model;
    const double full = measured_ ? state_.cost->Seconds(max_rows_) : 0;
    if (full > 0) picture_rows_ = state_.cost->picture_seconds() * max_rows_ / full;
    for (const RunningImage& image : input.running) {
      if (image.model == model) holders_.insert(image.flow);
    }
  }

  // Takes the image if it fits the budget and the step takes at most `limit` with it. The first
  // image of a step always does.
  bool Take(const RunningImage& image, double limit) {
    if (!TakeLoad(Load::Of(image), limit)) return false;
    choice_.running.push_back(image.id);
    return true;
  }

  // REQUIRES: HasSlot(image).
  bool Take(const QueuedImage& image, double limit) {
    if (!TakeLoad(Load::Of(image), limit)) return false;
    --free_slots_;
    holders_.insert(image.flow);
    choice_.admitted.push_back(image.id);
    return true;
  }

  bool HasSlot(const QueuedImage& image) const {
    const bool privileged = image.priority > 0 || !holders_.contains(image.flow);
    return free_slots_ > (privileged ? 0 : state_.reserved_slots);
  }

  // How long a step of the load takes.
  double Time(const Load& load) const {
    if (!measured_) return load.rows;
    return state_.cost->Seconds(load.rows) + load.pictures * state_.cost->picture_seconds();
  }

  // The load in rows: a picture is as many as a full step has in its time.
  double RowsOf(const Load& load) const { return load.rows + load.pictures * picture_rows_; }

  void set_leader(size_t flow) { choice_.leader = flow; }
  void HalveBudget() { budget_ /= 2; }
  bool empty() const { return images_ == 0; }
  double time() const { return Time(load_); }
  StepChoice Build() { return std::move(choice_); }

 private:
  bool TakeLoad(const Load& load, double limit) {
    const Load all = load_ + load;
    if (images_ > 0 && (RowsOf(all) > budget_ || Time(all) > limit)) return false;
    load_ = all;
    ++images_;
    return true;
  }

  const ModelState& state_;
  const bool measured_;
  const double max_rows_;
  double budget_;
  double picture_rows_ = 0;
  uint32_t free_slots_;
  std::set<size_t> holders_;  // Flows that run something here.
  Load load_;
  uint32_t images_ = 0;
  StepChoice choice_;
};

// The images of one priority of the model that steps.
struct Members {
  std::vector<RunningImage> running;
  std::vector<QueuedImage> queued;
};

// Adds one priority's images to a step.
class PriorityTurn {
 public:
  PriorityTurn(const PolicyInput& input, const Members& members, StepBuilder* step)
      : flows_(input.flows), members_(members), step_(*step) {
    running_ = members.running;
    std::stable_sort(running_.begin(), running_.end(),
                     [](const auto& a, const auto& b) { return a.last_step < b.last_step; });
  }

  // False: none can take part.
  bool Lead() {
    const std::set<size_t> able = Able();
    if (able.empty()) return false;
    const size_t leader = *std::min_element(able.begin(), able.end(), [this](size_t a, size_t b) {
      return flows_[a].tag < flows_[b].tag;
    });
    step_.set_leader(leader);
    leader_ = leader;
    for (const size_t flow : able) weights_ += flows_[flow].weight;
    if (able.size() == 1 && flows_[leader].company) step_.HalveBudget();
    TakeLeaders();
    TakeRunning();
    TakeQueued();
    return true;
  }

  void RideAlong(double limit) {
    limit_ = limit;
    TakeRunning();
    TakeQueued();
  }

 private:
  // Flows that have something that can take part.
  std::set<size_t> Able() const {
    std::set<size_t> able;
    for (const RunningImage& image : running_) able.insert(image.flow);
    for (const QueuedImage& image : members_.queued) {
      if (step_.HasSlot(image)) able.insert(image.flow);
    }
    return able;
  }

  void TakeLeaders() {
    for (const RunningImage& image : running_) {
      if (image.flow == leader_ && !TakeWithin(image)) left_out_.insert(image.flow);
    }
    if (!step_.empty()) return;
    for (const QueuedImage& image : members_.queued) {
      if (image.flow != leader_ || !step_.HasSlot(image)) continue;
      TakeWithin(image);
      taken_ = image.id;
      return;
    }
  }

  void SetLimit() { limit_ = weights_ / flows_[*leader_].weight * step_.Time(load_of_[*leader_]); }

  // Of those but the leader, in the order of their tags.
  void TakeRunning() {
    std::stable_sort(running_.begin(), running_.end(), [this](const auto& a, const auto& b) {
      return flows_[a.flow].tag < flows_[b.flow].tag;
    });
    for (const RunningImage& image : running_) {
      if (image.flow == leader_) continue;
      if (!TakeWithin(image)) left_out_.insert(image.flow);
    }
  }

  void TakeQueued() {
    for (const QueuedImage& image : members_.queued) {
      if (image.id == taken_ || left_out_.contains(image.flow) || !step_.HasSlot(image)) continue;
      if (!TakeWithin(image)) return;
    }
  }

  template <typename Image>
  bool TakeWithin(const Image& image) {
    const bool leads = image.flow == leader_;
    const Load load = load_of_[image.flow] + Load::Of(image);
    const bool shares = leader_ && !leads && !left_out_.empty();
    if (shares && step_.RowsOf(load) > ShareOf(image.flow)) return false;
    if (!step_.Take(image, leads ? kNoLimit : limit_)) return false;
    load_of_[image.flow] = load;
    if (leads) SetLimit();
    return true;
  }

  // As many rows by weight as the leader has.
  double ShareOf(size_t flow) {
    return step_.RowsOf(load_of_[*leader_]) * flows_[flow].weight / flows_[*leader_].weight;
  }

  static constexpr double kNoLimit = std::numeric_limits<double>::infinity();

  const absl::Span<const FlowState> flows_;
  const Members& members_;
  StepBuilder& step_;
  std::vector<RunningImage> running_;
  std::optional<size_t> leader_;  // None: this priority rides along.
  double weights_ = 0;            // Of all that can take part.
  double limit_ = 0;              // Time of the step with images of others than the leader.
  std::map<size_t, Load> load_of_;
  std::set<size_t> left_out_;  // Flows of which a running image does not take part.
  std::optional<ImageId> taken_;
};

// Which models can step or have pictures due.
std::vector<bool> ModelsWithWork(const PolicyInput& input) {
  std::vector<bool> has_work(input.models.size());
  for (size_t m = 0; m < input.models.size(); ++m) has_work[m] = input.models[m].pictures_due > 0;
  for (const RunningImage& image : input.running) has_work[image.model] = true;
  std::vector<std::optional<StepBuilder>> empty(input.models.size());
  for (const QueuedImage& image : input.queued) {
    if (has_work[image.model]) continue;
    if (!empty[image.model]) empty[image.model].emplace(input, image.model);
    has_work[image.model] = empty[image.model]->HasSlot(image);
  }
  return has_work;
}

std::optional<size_t> NextModel(const PolicyInput& input) {
  const std::vector<bool> has_work = ModelsWithWork(input);
  const size_t count = has_work.size();
  const size_t first = input.last_model ? *input.last_model + 1 : 0;
  for (size_t i = 0; i < count; ++i) {
    if (const size_t model = (first + i) % count; has_work[model]) return model;
  }
  return std::nullopt;
}

}  // namespace

std::vector<int> PriorityOrder(absl::Span<const PriorityState> priorities, size_t model,
                               absl::Duration aging) {
  std::vector<std::tuple<absl::Time, int>> ranks;
  for (const PriorityState& state : priorities) {
    if (state.model != model) continue;
    ranks.emplace_back(state.oldest - state.priority * aging, -state.priority);
  }
  std::sort(ranks.begin(), ranks.end());
  std::vector<int> order;
  order.reserve(ranks.size());
  for (const auto& [rank, negated] : ranks) order.push_back(-negated);
  return order;
}

std::optional<StepChoice> ChooseStep(const PolicyInput& input) {
  const std::optional<size_t> model = NextModel(input);
  if (!model) return std::nullopt;
  std::map<int, Members> members;
  for (const RunningImage& image : input.running) {
    if (image.model == *model) members[image.priority].running.push_back(image);
  }
  for (const QueuedImage& image : input.queued) {
    if (image.model == *model) members[image.priority].queued.push_back(image);
  }
  StepBuilder step(input, *model);
  double limit = 0;  // Of those that ride along.
  for (const int priority : PriorityOrder(input.priorities, *model, input.aging)) {
    PriorityTurn turn(input, members[priority], &step);
    if (!step.empty()) {
      turn.RideAlong(limit);
    } else if (turn.Lead()) {
      limit = kRideAlong * step.time();
    }
  }
  return step.Build();
}

}  // namespace hmar
