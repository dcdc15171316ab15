#include "model/torch/step_runner.h"

#include <algorithm>
#include <map>

#include "model/philox.h"
#include "model/sampler.h"
#include "model/sampling_plan.h"

namespace hmar {
namespace {

// Logits are made and drawn from in pieces of about this many rows: a large step's would take V * 4
// bytes a row.
constexpr int64_t kLogitRows = 1024;

// Rows a thread draws at once.
constexpr int64_t kDrawGrain = 4;

}  // namespace

// One token to draw.
struct StepRunner::DrawJob {
  const Slot* slot;
  PassOutcome* outcome;
  int64_t row;        // Of the logits.
  uint32_t position;  // Of the token in its grid.
};

std::vector<PassOutcome> StepRunner::Run(absl::Span<const Slot* const> slots, uint32_t* rows) {
  std::vector<PassOutcome> outcomes(slots.size());
  std::map<const Slot*, PassOutcome*> outcome_of;
  for (size_t i = 0; i < slots.size(); ++i) {
    const Slot& slot = *slots[i];
    PassOutcome& outcome = outcomes[i];
    outcome_of[&slot] = &outcome;
    outcome.tokens = slot.pass().step == 0 ? slot.StartTokens() : slot.tokens;
    outcome.open = slot.pass().step == 0 ? slot.StartOpen() : slot.open;
    outcome.confidence.assign(slot.pass().tokens, 0);
  }
  PackedBatch batch = PackBatch(slots, *config_, *tokenizer_, transformer_);
  if (rows != nullptr) *rows = static_cast<uint32_t>(batch.rows());
  transformer_->Forward(&batch, &activations_);
  for (const auto& [head, range] : {std::pair{Transformer::Head::kNextScale, &batch.ns},
                                    std::pair{Transformer::Head::kMask, &batch.mask}}) {
    std::vector<PassOutcome*> in_order;
    for (const SlotRows& s : range->slots) in_order.push_back(outcome_of[s.slot]);
    DrawRange(head, batch, *range, in_order);
  }
  for (size_t i = 0; i < slots.size(); ++i) ChooseReopened(*slots[i], &outcomes[i]);
  Settle(slots, &outcomes);
  return outcomes;
}

void StepRunner::DrawRange(Transformer::Head head, const PackedBatch& batch, const RowRange& range,
                           const std::vector<PassOutcome*>& outcomes) {
  for (size_t begin = 0, end = 0; begin < range.slots.size(); begin = end) {
    const int64_t first_row = range.slots[begin].first_row;
    int64_t last_row = first_row;
    for (; end < range.slots.size() && last_row - first_row < kLogitRows; ++end) {
      last_row = range.slots[end].first_row + range.slots[end].slot->pass().rows();
    }
    const at::Tensor logits =
        transformer_->Logits(head, batch, first_row, last_row - first_row, &activations_);
    DrawChunk(logits, first_row, absl::MakeConstSpan(range.slots).subspan(begin, end - begin),
              absl::MakeConstSpan(outcomes).subspan(begin, end - begin));
  }
}

void StepRunner::DrawChunk(const at::Tensor& logits, int64_t first_row,
                           absl::Span<const SlotRows> slots,
                           absl::Span<PassOutcome* const> outcomes) {
  std::vector<DrawJob> jobs;
  for (size_t i = 0; i < slots.size(); ++i) {
    const Slot& slot = *slots[i].slot;
    for (uint32_t position = 0; position < slot.pass().tokens; ++position) {
      if (!outcomes[i]->open[position]) continue;
      jobs.push_back({&slot, outcomes[i], slots[i].first_row - first_row + position, position});
    }
  }
  const size_t V = static_cast<size_t>(logits.size(1));
  const float* data = logits.data_ptr<float>();
  at::parallel_for(
      0, static_cast<int64_t>(jobs.size()), kDrawGrain, [&](int64_t begin, int64_t end) {
        DrawScratch scratch;
        std::vector<float> guided(V);
        for (const DrawJob& job : absl::MakeConstSpan(jobs).subspan(begin, end - begin)) {
          const Pass& pass = job.slot->pass();
          absl::Span<const float> row(data + job.row * V, V);
          if (pass.guided) {
            const float t = GuidanceWeight(job.slot->task.sampling.cfg_scale, pass.scale,
                                           config_->num_scales());
            Guide(row, {row.data() + pass.tokens * V, V}, t, absl::MakeSpan(guided));
            row = guided;
          }
          const float uniform =
              TokenUniform(job.slot->task.seed, job.position, pass.scale, pass.step);
          const Drawn drawn = DrawToken(row, job.slot->draw, uniform, &scratch);
          job.outcome->tokens[job.position] = drawn.token;
          job.outcome->confidence[job.position] = drawn.confidence;
        }
      });
  for (PassOutcome* outcome : outcomes) {
    outcome->finite = std::none_of(outcome->tokens.begin(), outcome->tokens.end(),
                                   [](int32_t t) { return t < 0; });
  }
}

void StepRunner::ChooseReopened(const Slot& slot, PassOutcome* outcome) const {
  if (!outcome->finite) return;
  const Pass& pass = slot.pass();
  const uint32_t count = pass.settles_scale ? 0 : slot.passes[slot.next_pass + 1].reopened;
  outcome->open = ReopenLeastCertain(outcome->open, outcome->confidence, count);
}

// New feature maps of the slots whose scale is settled, one batch a scale.
void StepRunner::Settle(absl::Span<const Slot* const> slots,
                        std::vector<PassOutcome>* outcomes) const {
  std::map<int, std::vector<size_t>> by_scale;
  for (size_t i = 0; i < slots.size(); ++i) {
    if ((*outcomes)[i].finite && slots[i]->pass().settles_scale)
      by_scale[slots[i]->pass().scale].push_back(i);
  }
  for (const auto& [scale, indices] : by_scale) {
    const int64_t B = static_cast<int64_t>(indices.size());
    at::Tensor tokens = at::empty({B, config_->tokens_of_scale(scale)}, at::kLong);
    int64_t* next = tokens.data_ptr<int64_t>();
    for (const size_t i : indices) {
      next = std::copy((*outcomes)[i].tokens.begin(), (*outcomes)[i].tokens.end(), next);
    }
    const at::Tensor added = tokenizer_->Contribution(scale, tokens);
    for (int64_t b = 0; b < B; ++b) {
      (*outcomes)[indices[b]].f_hat_ZPP = slots[indices[b]]->f_hat_ZPP.add(added[b]);
    }
  }
}

at::Tensor StepRunner::GuidedLogits(const Slot& slot) {
  const Slot* slots[] = {&slot};
  PackedBatch batch = PackBatch(slots, *config_, *tokenizer_, transformer_);
  transformer_->Forward(&batch, &activations_);
  const Pass& pass = slot.pass();
  const bool next_scale = pass.step == 0;
  const at::Tensor logits =
      transformer_->Logits(next_scale ? Transformer::Head::kNextScale : Transformer::Head::kMask,
                           batch, 0, batch.rows(), &activations_);
  at::Tensor guided = logits.narrow(0, 0, pass.tokens).clone();
  if (!pass.guided) return guided;
  const float t = GuidanceWeight(slot.task.sampling.cfg_scale, pass.scale, config_->num_scales());
  const int64_t n = pass.tokens;
  Guide({logits.data_ptr<float>(), static_cast<size_t>(guided.numel())},
        {logits.data_ptr<float>() + guided.numel(), static_cast<size_t>(guided.numel())}, t,
        {guided.data_ptr<float>(), static_cast<size_t>(n * guided.size(1))});
  return guided;
}

}  // namespace hmar
