#include <algorithm>
#include <cstring>
#include <utility>

#include "kernels/picture.h"
#include "model/cuda/cuda_model.h"
#include "model/cuda/cuda_tokenizer.h"
#include "model/cuda/weight_reader.h"
#include "model/cuda_engine.h"
#include "model/sampler.h"

namespace hmar {
namespace {

// Ends the program: an inspector serves tests, which have no use for half a result.
void Check(const absl::Status& status) {
  if (status.ok()) return;
  std::fprintf(stderr, "CUDA inspector: %s\n", std::string(status.message()).c_str());
  std::abort();
}

template <typename T>
std::vector<T> Fetch(const T* device, int64_t count) {
  std::vector<T> values(count);
  Check(CudaStatus(cudaDeviceSynchronize(), "inspected stage"));
  Check(CudaStatus(cudaMemcpy(values.data(), device, count * sizeof(T), cudaMemcpyDeviceToHost),
                   "cudaMemcpy"));
  return values;
}

template <typename T>
void Put(T* device, const std::vector<T>& values) {
  Check(CudaStatus(
      cudaMemcpy(device, values.data(), values.size() * sizeof(T), cudaMemcpyHostToDevice),
      "cudaMemcpy"));
  // What comes from pageable memory may still be on its way, which other streams do not wait for.
  Check(CudaStatus(cudaDeviceSynchronize(), "cudaMemcpy"));
}

// Works in slot 0.
class CudaInspector final : public Inspector {
 public:
  CudaInspector(std::unique_ptr<CudaModel> model, ScratchMemory scratch)
      : model_(std::move(model)), scratch_(std::move(scratch)) {}

  const ModelConfig& config() const override { return model_->config(); }

  std::vector<TokenMap> Encode(const std::vector<float>& image_3SS) override {
    constexpr int64_t kChannels = CudaAutoencoder::kPixelChannels;
    const int64_t pixels = int64_t{config().image_size} * config().image_size;
    std::vector<__nv_bfloat16> pixels_BSS8(pixels * kChannels, __float2bfloat16(0));
    for (int64_t i = 0; i < 3 * pixels; ++i) {
      pixels_BSS8[i % pixels * kChannels + i / pixels] = __float2bfloat16(255 * image_3SS[i]);
    }
    Put(scratch_.as<__nv_bfloat16>(), pixels_BSS8);
    Check(model_->encoder().EncodePixels(scratch_.as<__nv_bfloat16>(), 1, model_->main_stream()));
    const std::vector<int32_t> tokens = Fetch(model_->encoder().tokens_BL(), model_->L());
    return PyramidOf(config(), tokens.data());
  }

  std::vector<float> Decode(const std::vector<float>& f_hat_ZPP) override {
    const int64_t S = config().image_size;
    std::vector<__nv_bfloat16> features;
    for (const float f : Swapped(f_hat_ZPP, Z(), cells())) {
      features.push_back(__float2bfloat16(f));
    }
    Put(scratch_.as<__nv_bfloat16>(), features);
    Check(model_->decoder().Decode(scratch_.as<__nv_bfloat16>(), 1, model_->main_stream()));
    std::vector<float> image = Swapped(Fetch(model_->decoder().pixels_BSS3(), S * S * 3), S * S, 3);
    for (float& x : image) x = std::clamp(x, -1.0f, 1.0f);
    return image;
  }

  std::vector<float> Contribution(int scale, const TokenMap& tokens_n) override {
    Check(model_->ClearSlot(0));
    LayScale(scale, tokens_n);
    return Swapped(Fetch(model_->slots().f_hat_PPZ, model_->features()), cells(), Z());
  }

  std::vector<float> Embed(const ImageTask& task, uint32_t step, const TokenMap& tokens_n,
                           const std::vector<uint8_t>& open_n) override {
    // x is overwritten by the blocks: so the embedding alone.
    const ImageStep image = SetUp(task, step, tokens_n, open_n);
    const StepSizes sizes = MeasureStep({image});
    Check(model_->RunEmbedding(sizes, Upload(image, sizes)));
    std::vector<float> rows;
    for (const __nv_bfloat16 x :
         Fetch(model_->transformer().x_TC(), sizes.rows() * config().transformer.embed_dim)) {
      rows.push_back(__bfloat162float(x));
    }
    return rows;
  }

  std::vector<float> PassLogits(const ImageTask& task, uint32_t step, const TokenMap& tokens_n,
                                const std::vector<uint8_t>& open_n) override {
    const ImageStep image = SetUp(task, step, tokens_n, open_n);
    const StepSizes sizes = MeasureStep({image});
    const StepTables tables = Upload(image, sizes);
    Check(model_->RunEmbedding(sizes, tables));
    Check(model_->RunForward(sizes, tables));
    const int64_t V = config().tokenizer.vocab_size, half = image.pass.tokens * V;
    std::vector<float> logits = Fetch(model_->transformer().logits_TV(), sizes.rows() * V);
    if (image.pass.guided) {
      std::vector<float> guided(half);
      Guide({logits.data(), guided.size()}, {logits.data() + half, guided.size()}, image.guidance,
            absl::MakeSpan(guided));
      return guided;
    }
    return logits;
  }

 private:
  int64_t Z() const { return config().tokenizer.z_channels; }
  int64_t cells() const { return int64_t{config().last_grid()} * config().last_grid(); }

  // (a, b) -> (b, a)
  static std::vector<float> Swapped(const std::vector<float>& x, int64_t a, int64_t b) {
    std::vector<float> y(x.size());
    for (int64_t i = 0; i < a; ++i) {
      for (int64_t j = 0; j < b; ++j) y[j * a + i] = x[i * b + j];
    }
    return y;
  }

  void PutTokens(int scale, const TokenMap& tokens) {
    Put(model_->slots().tokens_L + model_->grids().first[scale], tokens);
  }

  void LayScale(int scale, const TokenMap& tokens) {
    PutTokens(scale, tokens);
    const std::vector<kernels::TokenMapJob> jobs = {{0, scale}};
    auto* device_jobs = reinterpret_cast<kernels::TokenMapJob*>(scratch_.as<uint8_t>());
    Put(device_jobs, jobs);
    Check(model_->LayTokens(device_jobs, 1));
    Check(CudaStatus(cudaDeviceSynchronize(), "lay tokens"));
  }

  ImageStep SetUp(const ImageTask& task, uint32_t step, const TokenMap& tokens_n,
                  const std::vector<uint8_t>& open_n) {
    Check(model_->ClearSlot(0));
    for (size_t k = 0; k < task.prefix.size(); ++k) LayScale(static_cast<int>(k), task.prefix[k]);
    const auto prefix_scales = static_cast<int>(task.prefix.size());
    const std::vector<Pass> passes = PlanPasses(config(), task);
    ImageStep image;
    image.pass = passes[step];
    image.class_row =
        task.class_id ? static_cast<int32_t>(*task.class_id) : model_->null_class_row();
    image.guidance = GuidanceWeight(task.sampling.cfg_scale, prefix_scales, config().num_scales());
    if (step > 0) {
      PutTokens(prefix_scales, tokens_n);
      Put(model_->slots().open, open_n);
    }
    return image;
  }

  StepTables Upload(const ImageStep& image, const StepSizes& sizes) {
    std::vector<uint8_t> host(StepTables(sizes, nullptr).bytes);
    FillStep({image}, model_->null_class_row(), StepTables(sizes, host.data()));
    Put(scratch_.as<uint8_t>(), host);
    return StepTables(sizes, scratch_.as<uint8_t>());
  }

  std::unique_ptr<CudaModel> model_;
  ScratchMemory scratch_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Inspector>> MakeCudaInspector(ModelFolder folder,
                                                             const CudaEngineOptions& options) {
  HMAR_ASSIGN_OR_RETURN(std::unique_ptr<CudaModel> model, CudaModel::Load(folder, options));
  const int64_t S = model->config().image_size;
  const int64_t bytes = static_cast<int64_t>(MostStepBytes(model->max_rows(), 1)) +
                        model->features() * static_cast<int64_t>(sizeof(float)) +
                        S * S * CudaAutoencoder::kPixelChannels * int64_t{2};
  HMAR_ASSIGN_OR_RETURN(ScratchMemory scratch, ScratchMemory::Take(bytes));
  return std::make_unique<CudaInspector>(std::move(model), std::move(scratch));
}

}  // namespace hmar
