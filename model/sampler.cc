#include "model/sampler.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <numeric>

namespace hmar {
namespace {

using Candidate = DrawScratch::Candidate;

// Below this many candidates sorting beats another round of partitioning.
constexpr ptrdiff_t kSortBelow = 24;

// The double that a person meant by a float: 0.97f -> 0.97. Requests carry floats; the arithmetic
// of 1 - top_p is done as if they had carried the decimal number.
double Decimal(float x) {
  char text[32];
  const auto end = std::to_chars(text, text + sizeof(text), x);
  double result = x;
  std::from_chars(text, end.ptr, result);
  return result;
}

// The smallest logit that top-k keeps.
float TopKThreshold(absl::Span<const float> logits_V, uint32_t top_k, std::vector<float>* sorted) {
  if (top_k == 0 || top_k >= logits_V.size()) return -std::numeric_limits<float>::infinity();
  sorted->assign(logits_V.begin(), logits_V.end());
  const auto kth = sorted->begin() + (top_k - 1);
  std::nth_element(sorted->begin(), kth, sorted->end(), std::greater<float>());
  return *kth;
}

bool RanksBelow(const Candidate& a, const Candidate& b) {
  return a.logit < b.logit || (a.logit == b.logit && a.token < b.token);
}

// Fills `candidates` with what top-k leaves, in codebook order, and returns the sum of their
// weights.
float Collect(absl::Span<const float> logits_V, float largest, float threshold,
              std::vector<Candidate>* candidates) {
  candidates->clear();
  double sum = 0;
  for (size_t v = 0; v < logits_V.size(); ++v) {
    if (logits_V[v] < threshold) continue;
    const float weight = std::exp(logits_V[v] - largest);
    candidates->push_back({logits_V[v], static_cast<int32_t>(v), weight});
    sum += weight;
  }
  return static_cast<float>(sum);
}

// The lowest-ranked candidate that top-p keeps. A selection by halves: only the half that holds the
// boundary is looked at again, so the cost is linear in the number of candidates.
Candidate LowestKept(std::vector<Candidate>* ranked, float sum, float drop_mass) {
  auto low = ranked->begin();
  auto high = ranked->end();  // The boundary lies in [low, high).
  double below = 0;           // Probability of everything ranked under `low`.
  const auto mass = [sum](double total, const Candidate& c) { return total + c.weight / sum; };
  while (high - low > kSortBelow) {
    const auto middle = low + (high - low) / 2;
    std::nth_element(low, middle, high, RanksBelow);
    const double through = std::accumulate(low, middle, below, mass);
    if (static_cast<float>(through) <= drop_mass) {
      low = middle;
      below = through;
    } else {
      high = middle;
    }
  }
  std::sort(low, high, RanksBelow);  // What nth_element left at `high` is the next in rank.
  for (; low != high && low + 1 != ranked->end(); ++low) {
    below = mass(below, *low);
    if (static_cast<float>(below) > drop_mass) break;
  }
  return *low;  // At the latest the largest, which always stays.
}

// Inverse CDF over the candidates, which are in codebook order.
Drawn Invert(absl::Span<const Candidate> candidates, float uniform) {
  double sum_of_weights = 0;
  for (const Candidate& c : candidates) sum_of_weights += c.weight;
  const float sum = static_cast<float>(sum_of_weights);
  double total = 0;
  for (const Candidate& c : candidates) total += c.weight / sum;
  const double target = static_cast<double>(uniform) * total;
  double running = 0;
  for (const Candidate& c : candidates) {
    const float probability = c.weight / sum;
    running += probability;
    if (running > target) return {c.token, probability};
  }
  return {candidates.back().token, candidates.back().weight / sum};
}

}  // namespace

DrawParams::DrawParams(float temperature, uint32_t top_k, float top_p)
    : temperature(temperature),
      top_k(top_k),
      drop_mass(top_p < 1 ? static_cast<float>(1.0 - Decimal(top_p)) : -1.0f) {}

Drawn DrawToken(absl::Span<const float> logits_V, const DrawParams& params, float uniform,
                DrawScratch* scratch) {
  const bool finite =
      std::all_of(logits_V.begin(), logits_V.end(), [](float l) { return std::isfinite(l); });
  if (!finite) return {};
  if (params.temperature != 1.0f) {
    scratch->divided.resize(logits_V.size());
    std::transform(logits_V.begin(), logits_V.end(), scratch->divided.begin(),
                   [&params](float l) { return l / params.temperature; });
    logits_V = scratch->divided;
  }
  const float largest = *std::max_element(logits_V.begin(), logits_V.end());
  if (!std::isfinite(largest)) return {};  // A tiny temperature overflows.
  const float threshold = TopKThreshold(logits_V, params.top_k, &scratch->partitioned);
  std::vector<Candidate>& candidates = scratch->candidates;
  const float sum = Collect(logits_V, largest, threshold, &candidates);
  if (params.drop_mass >= 0) {
    scratch->ranked = candidates;
    const Candidate lowest = LowestKept(&scratch->ranked, sum, params.drop_mass);
    candidates.erase(
        std::remove_if(candidates.begin(), candidates.end(),
                       [&lowest](const Candidate& c) { return RanksBelow(c, lowest); }),
        candidates.end());
  }
  return Invert(candidates, uniform);
}

void Guide(absl::Span<const float> cond_V, absl::Span<const float> uncond_V, float t,
           absl::Span<float> out_V) {
  const float keep = 1.0f + t;
  for (size_t v = 0; v < out_V.size(); ++v) {
    const float towards = keep * cond_V[v];
    const float away = t * uncond_V[v];
    out_V[v] = towards - away;
  }
}

std::vector<uint8_t> ReopenLeastCertain(absl::Span<const uint8_t> open,
                                        absl::Span<const float> confidence, uint32_t count) {
  std::vector<uint32_t> order;
  for (uint32_t i = 0; i < open.size(); ++i) {
    if (open[i]) order.push_back(i);
  }
  std::stable_sort(order.begin(), order.end(),
                   [&](uint32_t a, uint32_t b) { return confidence[a] < confidence[b]; });
  std::vector<uint8_t> reopened(open.size(), 0);
  for (uint32_t i = 0; i < count; ++i) reopened[order[i]] = 1;
  return reopened;
}

}  // namespace hmar
