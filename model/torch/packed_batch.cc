#include "model/torch/packed_batch.h"

#include <algorithm>

#include "model/torch/transformer.h"

namespace hmar {
namespace {

// Appends `slots`, which are at one kind of pass, to a range that starts at `first_row`.
RowRange LayOut(std::vector<const Slot*> slots, int64_t first_row) {
  std::stable_sort(slots.begin(), slots.end(),
                   [](const Slot* a, const Slot* b) { return a->pass().scale < b->pass().scale; });
  RowRange range;
  range.first_row = first_row;
  int64_t row = first_row;
  for (const Slot* slot : slots) {
    const Pass& pass = slot->pass();
    if (range.groups.empty() || range.groups.back().tokens != pass.tokens) {
      range.groups.push_back({row, 0, static_cast<int64_t>(pass.tokens)});
    }
    range.groups.back().segments += pass.guided ? 2 : 1;
    range.slots.push_back({slot, row});
    row += pass.rows();
  }
  range.rows = row - first_row;
  return range;
}

// Slots of `range` at one scale: indices [begin, end) into range.slots.
template <typename Visitor>
void ForEachScale(const RowRange& range, const Visitor& visit) {
  for (size_t begin = 0, end = 0; begin < range.slots.size(); begin = end) {
    const int scale = range.slots[begin].slot->pass().scale;
    while (end < range.slots.size() && range.slots[end].slot->pass().scale == scale) ++end;
    visit(scale, absl::MakeConstSpan(range.slots).subspan(begin, end - begin));
  }
}

at::Tensor StackFHat(absl::Span<const SlotRows> slots) {
  std::vector<at::Tensor> maps;
  for (const SlotRows& s : slots) maps.push_back(s.slot->f_hat_ZPP);
  return at::stack(maps);
}

at::Tensor StackTokens(absl::Span<const SlotRows> slots) {
  const int64_t n = slots[0].slot->pass().tokens;
  at::Tensor tokens = at::empty({static_cast<int64_t>(slots.size()), n}, at::kLong);
  int64_t* out = tokens.data_ptr<int64_t>();
  for (const SlotRows& s : slots)
    out = std::copy(s.slot->tokens.begin(), s.slot->tokens.end(), out);
  return tokens;
}

// Word embeddings of everything a step needs, from one GEMM: first what the next-scale rows see of
// f_hat, then for the mask rows f_hat and the scale's own tokens.
class Words {
 public:
  Words(const PackedBatch& batch, const Tokenizer& tokenizer, const Transformer& transformer) {
    std::vector<at::Tensor> rows;
    ForEachScale(batch.ns, [&](int scale, absl::Span<const SlotRows> slots) {
      if (scale > 0) rows.push_back(tokenizer.ToGrid(StackFHat(slots), scale));
    });
    ForEachScale(batch.mask, [&](int scale, absl::Span<const SlotRows> slots) {
      rows.push_back(tokenizer.ToGrid(StackFHat(slots), scale));
      rows.push_back(tokenizer.ToGrid(tokenizer.Contribution(scale, StackTokens(slots)), scale));
    });
    if (rows.empty()) return;
    embedded_ = transformer.word_embed()(at::cat(rows));
    next_ = embedded_.data_ptr<float>();
  }

  // The next `floats` floats, in the order above.
  const float* Take(int64_t floats) {
    const float* taken = next_;
    next_ += floats;
    return taken;
  }

 private:
  at::Tensor embedded_;
  const float* next_ = nullptr;
};

// Writes the rows of one range after another; the order of additions is the reference's.
class Embedder {
 public:
  Embedder(const ModelConfig& config, const Transformer& transformer, float* x_TC)
      : config_(config), transformer_(transformer), C_(config.transformer.embed_dim), x_TC_(x_TC) {}

  void FirstScale(absl::Span<const SlotRows> slots) const {
    for (const SlotRows& s : slots) {
      const int64_t null_class = transformer_.null_class();
      const int64_t class_id = s.slot->task.class_id ? *s.slot->task.class_id : null_class;
      const float* embedding = Row(transformer_.class_embedding(), class_id);
      const float* start = transformer_.pos_start().data_ptr<float>();
      for (int64_t i = 0; i < config_.tokens_of_scale(0); ++i) {
        Add3(embedding, start, Row(transformer_.position(), i), x_TC_ + (s.first_row + i) * C_);
      }
    }
  }

  void NextScale(int scale, absl::Span<const SlotRows> slots, Words* words) const {
    const int64_t n = config_.tokens_of_scale(scale), floats = n * C_;
    const float* bias = transformer_.word_embed_bias().data_ptr<float>();
    const float* position = Position(scale);
    for (const SlotRows& s : slots) {
      const float* word = words->Take(floats);
      float* x = x_TC_ + s.first_row * C_;
      for (int64_t i = 0; i < n; ++i) Add3(word + i * C_, bias, position + i * C_, x + i * C_);
      if (s.slot->pass().guided) std::copy(x, x + floats, x + floats);
    }
  }

  void Mask(int scale, absl::Span<const SlotRows> slots, Words* words) const {
    const int64_t n = config_.tokens_of_scale(scale), floats = n * C_;
    const int64_t count = static_cast<int64_t>(slots.size());
    const float* coarse = words->Take(count * floats);
    const float* own = words->Take(count * floats);
    const float* masked = transformer_.mask_embed().data_ptr<float>();
    const float* bias = transformer_.word_embed_bias().data_ptr<float>();
    for (const SlotRows& s : slots) {
      const float* position = Position(scale);
      for (int64_t i = 0; i < n; ++i, coarse += C_, own += C_, position += C_) {
        const float* token = s.slot->open[i] ? masked : own;
        float* x = x_TC_ + (s.first_row + i) * C_;
        for (int64_t c = 0; c < C_; ++c) x[c] = coarse[c] + token[c] + bias[c] + position[c];
      }
    }
  }

 private:
  const float* Row(const at::Tensor& matrix, int64_t row) const {
    return matrix.data_ptr<float>() + row * C_;
  }

  // Level and position embedding of a scale's tokens, (n, C).
  const float* Position(int scale) const {
    int64_t first = 0;
    for (int k = 0; k < scale; ++k) first += config_.tokens_of_scale(k);
    return Row(transformer_.position(), first);
  }

  void Add3(const float* a, const float* b, const float* c, float* out) const {
    for (int64_t i = 0; i < C_; ++i) out[i] = a[i] + b[i] + c[i];
  }

  const ModelConfig& config_;
  const Transformer& transformer_;
  int64_t C_;
  float* x_TC_;
};

void SetClassVectors(const RowRange& range, Transformer* transformer, PackedBatch* batch) {
  const float* null_vectors = transformer->ClassVectors(transformer->null_class());
  batch->by_row.resize(range.first_row + range.rows, null_vectors);
  for (const SlotRows& s : range.slots) {
    if (!s.slot->task.class_id) continue;
    const float* vectors = transformer->ClassVectors(static_cast<int>(*s.slot->task.class_id));
    std::fill_n(batch->by_row.begin() + s.first_row, s.slot->pass().tokens, vectors);
  }
}

}  // namespace

PackedBatch PackBatch(absl::Span<const Slot* const> slots, const ModelConfig& config,
                      const Tokenizer& tokenizer, Transformer* transformer) {
  std::vector<const Slot*> next_scale, mask;
  for (const Slot* slot : slots) (slot->pass().step == 0 ? next_scale : mask).push_back(slot);
  PackedBatch batch;
  batch.ns = LayOut(std::move(next_scale), 0);
  batch.mask = LayOut(std::move(mask), batch.ns.rows);
  SetClassVectors(batch.ns, transformer, &batch);
  SetClassVectors(batch.mask, transformer, &batch);

  batch.x_TC = at::empty({batch.rows(), config.transformer.embed_dim}, at::kFloat);
  Words words(batch, tokenizer, *transformer);
  const Embedder embedder(config, *transformer, batch.x_TC.data_ptr<float>());
  ForEachScale(batch.ns, [&](int scale, absl::Span<const SlotRows> at_scale) {
    if (scale == 0) {
      embedder.FirstScale(at_scale);
    } else {
      embedder.NextScale(scale, at_scale, &words);
    }
  });
  ForEachScale(batch.mask, [&](int scale, absl::Span<const SlotRows> at_scale) {
    embedder.Mask(scale, at_scale, &words);
  });
  return batch;
}

}  // namespace hmar
