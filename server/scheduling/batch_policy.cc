#include "server/scheduling/batch_policy.h"

#include <algorithm>

namespace hmar {
namespace {

// Rows taken so far against the budget of one step.
class RowBudget {
 public:
  explicit RowBudget(uint32_t max_rows) : max_rows_(max_rows) {}

  // Takes `rows` if they fit. The first image of a step always does.
  bool Take(uint32_t rows) {
    if (images_ > 0 && rows_ + rows > max_rows_) return false;
    rows_ += rows;
    ++images_;
    return true;
  }

 private:
  const uint64_t max_rows_;
  uint64_t rows_ = 0;
  uint32_t images_ = 0;
};

// Which models can step or have pictures due.
std::vector<bool> ModelsWithWork(const PolicyInput& input) {
  std::vector<bool> has_work(input.models.size());
  for (size_t m = 0; m < input.models.size(); ++m) has_work[m] = input.models[m].pictures_due > 0;
  for (const RunningImage& image : input.running) has_work[image.model] = true;
  for (const QueuedImage& image : input.queued) {
    if (input.models[image.model].free_slots > 0) has_work[image.model] = true;
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

std::vector<RunningImage> OldestStepFirst(const PolicyInput& input, size_t model) {
  std::vector<RunningImage> images;
  for (const RunningImage& image : input.running) {
    if (image.model == model) images.push_back(image);
  }
  std::stable_sort(images.begin(), images.end(), [](const RunningImage& a, const RunningImage& b) {
    return a.last_step < b.last_step;
  });
  return images;
}

}  // namespace

std::optional<StepChoice> ChooseStep(const PolicyInput& input) {
  const std::optional<size_t> model = NextModel(input);
  if (!model) return std::nullopt;
  StepChoice choice{*model, {}, {}};
  RowBudget budget(std::min(input.max_step_rows, input.models[*model].max_step_rows));

  const std::vector<RunningImage> running = OldestStepFirst(input, *model);
  for (const RunningImage& image : running) {
    if (budget.Take(image.rows)) choice.running.push_back(image.id);
  }
  if (choice.running.size() < running.size()) return choice;

  for (const QueuedImage& image : input.queued) {
    if (image.model != *model) continue;
    if (choice.admitted.size() == input.models[*model].free_slots) break;
    if (!budget.Take(image.rows)) break;
    choice.admitted.push_back(image.id);
  }
  return choice;
}

}  // namespace hmar
