#include "tests/bench/fcfs_policy.h"

#include <algorithm>
#include <vector>

namespace hmar {
namespace {

template <typename Image>
std::vector<Image> ById(absl::Span<const Image> images) {
  std::vector<Image> sorted(images.begin(), images.end());
  std::sort(sorted.begin(), sorted.end(),
            [](const Image& a, const Image& b) { return a.id < b.id; });
  return sorted;
}

}  // namespace

std::optional<StepChoice> FirstComeFirstServed(const PolicyInput& input) {
  const ModelState& model = input.models[0];
  if (input.running.empty() && input.queued.empty() && model.pictures_due == 0) return std::nullopt;
  const uint32_t budget = std::min(input.max_step_rows, model.max_step_rows);
  StepChoice choice;
  uint32_t rows = 0;
  const auto fits = [&](uint32_t more) {
    if (rows > 0 && rows + more > budget) return false;
    rows += more;
    return true;
  };
  for (const RunningImage& image : ById(input.running)) {
    if (!fits(image.rows)) return choice;
    choice.running.push_back(image.id);
    choice.leader = image.flow;
  }
  uint32_t slots = model.free_slots;
  for (const QueuedImage& image : ById(input.queued)) {
    if (slots-- == 0 || !fits(image.rows)) break;
    choice.admitted.push_back(image.id);
    choice.leader = image.flow;
  }
  return choice;
}

}  // namespace hmar
