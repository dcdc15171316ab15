#include "model/cuda/cuda_limits.h"

#include <algorithm>
#include <string>

#include "absl/strings/str_cat.h"
#include "kernels/class_vectors.h"
#include "kernels/draw.h"
#include "kernels/fp8_rows.h"
#include "kernels/group_norm.h"
#include "kernels/linear.h"
#include "kernels/row_norm.h"
#include "kernels/segment_attention.h"
#include "model/cuda/row_buffer.h"

namespace hmar {
namespace {

struct Limit {
  const char* what;
  int64_t value, most;
};

int64_t MostChannels(const TokenizerConfig& tokenizer) {
  int most = 0;
  for (const int mult : tokenizer.ch_mult) most = std::max(most, mult);
  return int64_t{tokenizer.ch} * most;
}

}  // namespace

absl::Status CheckCudaLimits(const ModelConfig& config, const CudaEngineOptions& options) {
  const TransformerConfig& t = config.transformer;
  const bool fp8 = options.precision == Precision::kFp8;
  const auto refuse = [&config](const std::string& why) {
    return absl::FailedPreconditionError(
        absl::StrCat("model '", config.name, "' has ", why, " on a GPU"));
  };
  if (t.embed_dim != t.num_heads * kernels::kAttentionHeadSize) {
    return refuse(absl::StrCat(t.num_heads, " heads in a width of ", t.embed_dim, "; heads are ",
                               kernels::kAttentionHeadSize, " wide"));
  }
  if (const int multiple = fp8 ? 16 : 8; t.hidden() % multiple != 0) {
    return refuse(absl::StrCat("a feed-forward width of ", t.hidden(), "; it is a multiple of ",
                               multiple, fp8 ? " in fp8" : ""));
  }
  const Limit limits[] = {
      {"a width of", t.embed_dim, kernels::kMaxRowNormC},
      {"a feed-forward width of", t.hidden(), fp8 ? kernels::kMaxFp8RowC : kernels::kMaxLinearN},
      {"a codebook of", config.tokenizer.vocab_size, kernels::kMaxDrawV},
      {"a number of classes of", static_cast<int64_t>(config.classes.size()),
       kernels::kMaxClassRows - 1},  // One row is that of no class.
      {"a tokenizer width of", MostChannels(config.tokenizer), kernels::kMaxNormChannels}};
  for (const auto& [what, value, most] : limits) {
    if (value > most) {
      return refuse(absl::StrCat(what, " ", value, "; at most ", most, fp8 ? " in fp8" : ""));
    }
  }
  if (RowsOfBuffer(options.max_step_rows) > kernels::kMaxLinearT) {
    return absl::FailedPreconditionError(absl::StrCat(
        "steps of ", options.max_step_rows, " rows; at most ", kernels::kMaxLinearT - kRowGroup));
  }
  return absl::OkStatus();
}

}  // namespace hmar
