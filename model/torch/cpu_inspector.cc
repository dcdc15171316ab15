#include <utility>

#include "model/inspector.h"
#include "model/status_macros.h"
#include "model/torch/loaded_model.h"

namespace hmar {
namespace {

std::vector<float> Floats(const at::Tensor& t) {
  const at::Tensor flat = t.contiguous();
  return {flat.data_ptr<float>(), flat.data_ptr<float>() + flat.numel()};
}

at::Tensor Tensor(const std::vector<float>& floats, at::IntArrayRef shape) {
  return at::from_blob(const_cast<float*>(floats.data()), shape, at::kFloat).clone();
}

class CpuInspector final : public Inspector {
 public:
  explicit CpuInspector(std::unique_ptr<LoadedModel> model) : model_(std::move(model)) {}

  const ModelConfig& config() const override { return model_->config; }

  std::vector<TokenMap> Encode(const std::vector<float>& image_3SS) override {
    const c10::InferenceMode guard;
    const int64_t S = config().image_size;
    return model_->Encode(Tensor(image_3SS, {1, 3, S, S}))->front();
  }

  std::vector<float> Decode(const std::vector<float>& f_hat_ZPP) override {
    const c10::InferenceMode guard;
    const int64_t Z = config().tokenizer.z_channels, P = config().last_grid();
    return Floats(model_->tokenizer.Decode(Tensor(f_hat_ZPP, {1, Z, P, P})).clamp_(-1, 1));
  }

  std::vector<float> Contribution(int scale, const TokenMap& tokens_n) override {
    const c10::InferenceMode guard;
    return Floats(model_->tokenizer.Contribution(scale, TokensTensor(tokens_n)));
  }

  std::vector<float> Embed(const ImageTask& task, uint32_t step, const TokenMap& tokens_n,
                           const std::vector<uint8_t>& open_n) override {
    const c10::InferenceMode guard;
    const Slot slot = SlotAt(task, step, tokens_n, open_n);
    const Slot* slots[] = {&slot};
    const PackedBatch batch = PackBatch(slots, config(), model_->tokenizer, &model_->transformer);
    return Floats(batch.x_TC.narrow(0, 0, slot.pass().rows()));
  }

  std::vector<float> PassLogits(const ImageTask& task, uint32_t step, const TokenMap& tokens_n,
                                const std::vector<uint8_t>& open_n) override {
    const c10::InferenceMode guard;
    return Floats(model_->runner.GuidedLogits(SlotAt(task, step, tokens_n, open_n)));
  }

 private:
  Slot SlotAt(const ImageTask& task, uint32_t step, const TokenMap& tokens_n,
              const std::vector<uint8_t>& open_n) const {
    Slot slot(0, task, config());
    slot.f_hat_ZPP = model_->Lay(model_->EmptyFHat(), 0, task.prefix);
    slot.next_pass = step;
    slot.tokens = tokens_n;
    slot.open = open_n;
    return slot;
  }

  std::unique_ptr<LoadedModel> model_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Inspector>> MakeCpuInspector(ModelFolder folder) {
  HMAR_ASSIGN_OR_RETURN(std::unique_ptr<LoadedModel> model, LoadedModel::Load(folder));
  return std::make_unique<CpuInspector>(std::move(model));
}

}  // namespace hmar
