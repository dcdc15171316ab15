#include "model/cuda/step_launcher.h"

#include <algorithm>
#include <cstring>

namespace hmar {
namespace {

constexpr char kStaging[] = "step tables";

}  // namespace

// A step under way: pinned memory that must stay as it is until the device is done with it.
struct StepLauncher::Record {
  void* tables = nullptr;
  int32_t* failed = nullptr;                    // (slots)
  int32_t* prefix_tokens = nullptr;             // (slots, L)
  kernels::TokenMapJob* prefix_jobs = nullptr;  // (K, slots)
  int32_t* final_tokens = nullptr;              // (slots, L)
  cudaEvent_t done = nullptr;
  std::vector<std::shared_ptr<ImageInFlight>> images;  // In the order of `failed`.
  std::vector<Pass> passes;                            // Theirs.
  std::vector<std::shared_ptr<ImageInFlight>> finals;  // In the order of `final_tokens`.
};

absl::StatusOr<std::unique_ptr<StepLauncher>> StepLauncher::Create(CudaModel* model) {
  std::unique_ptr<StepLauncher> launcher(new StepLauncher(model));
  HMAR_RETURN_IF_ERROR(launcher->TakeBuffers());
  return launcher;
}

StepLauncher::StepLauncher(CudaModel* model) : model_(model) {}

StepLauncher::~StepLauncher() {
  for (const auto& record : records_) cudaEventDestroy(record->done);
}

absl::Status StepLauncher::TakeBuffers() {
  DeviceMemory& memory = model_->memory();
  const int64_t slots = model_->max_images(), L = model_->L(), K = model_->grids().scales;
  const auto bytes = static_cast<int64_t>(MostStepBytes(model_->max_rows(), slots));
  HMAR_ASSIGN_OR_RETURN(device_tables_, memory.Allocate<uint8_t>(kStaging, bytes));
  HMAR_ASSIGN_OR_RETURN(device_failed_, memory.Allocate<int32_t>(kStaging, slots));
  HMAR_ASSIGN_OR_RETURN(device_prefix_jobs_,
                        memory.Allocate<kernels::TokenMapJob>(kStaging, K * slots));
  for (int i = 0; i < kAhead + 1; ++i) {
    Record* record = records_.emplace_back(new Record).get();
    HMAR_ASSIGN_OR_RETURN(record->tables, memory.AllocatePinned<uint8_t>(bytes));
    HMAR_ASSIGN_OR_RETURN(record->failed, memory.AllocatePinned<int32_t>(slots));
    HMAR_ASSIGN_OR_RETURN(record->prefix_tokens, memory.AllocatePinned<int32_t>(slots * L));
    HMAR_ASSIGN_OR_RETURN(record->prefix_jobs,
                          memory.AllocatePinned<kernels::TokenMapJob>(K * slots));
    HMAR_ASSIGN_OR_RETURN(record->final_tokens, memory.AllocatePinned<int32_t>(slots * L));
    HMAR_CUDA_RETURN_IF_ERROR(cudaEventCreateWithFlags(&record->done, cudaEventDisableTiming));
    free_.push_back(record);
  }
  open_ = free_.back();
  free_.pop_back();
  graphs_ = std::make_unique<StepGraphs>(model_, device_tables_, device_failed_);
  return absl::OkStatus();
}

ImageStep StepLauncher::Describe(const ImageInFlight& image) const {
  const Pass& pass = image.pass();
  const SamplingParams& sampling = image.task.sampling;
  return {.slot = image.slot,
          .class_row = image.task.class_id ? static_cast<int32_t>(*image.task.class_id)
                                           : model_->null_class_row(),
          .pass = pass,
          .reopen = pass.settles_scale ? 0 : image.passes[image.next_pass + 1].reopened,
          .seed = image.task.seed,
          .guidance = GuidanceWeight(sampling.cfg_scale, pass.scale, model_->grids().scales),
          .temperature = image.draw.temperature,
          .top_k = image.draw.top_k,
          .drop_mass = image.draw.drop_mass};
}

absl::Status StepLauncher::Start(absl::Span<const std::shared_ptr<ImageInFlight>> images) {
  int32_t* staged = open_->prefix_tokens;
  for (const auto& image : images) {
    HMAR_RETURN_IF_ERROR(model_->ClearSlot(image->slot));
    int32_t* const first = staged;
    for (const TokenMap& map : image->task.prefix)
      staged = std::copy(map.begin(), map.end(), staged);
    if (staged == first) continue;
    HMAR_CUDA_RETURN_IF_ERROR(cudaMemcpyAsync(model_->slots().tokens_L + image->slot * model_->L(),
                                              first, (staged - first) * sizeof(int32_t),
                                              cudaMemcpyHostToDevice, model_->main_stream()));
  }
  return absl::OkStatus();
}

absl::Status StepLauncher::LayPrefix(absl::Span<const std::shared_ptr<ImageInFlight>> images,
                                     int scale) {
  const int64_t at = int64_t{scale} * model_->max_images();
  int count = 0;
  for (const auto& image : images) open_->prefix_jobs[at + count++] = {image->slot, scale};
  HMAR_CUDA_RETURN_IF_ERROR(cudaMemcpyAsync(device_prefix_jobs_ + at, open_->prefix_jobs + at,
                                            count * sizeof(kernels::TokenMapJob),
                                            cudaMemcpyHostToDevice, model_->main_stream()));
  return model_->LayTokens(device_prefix_jobs_ + at, count);
}

absl::Status StepLauncher::LaunchTables(absl::Span<const ImageStep> images, Record* record) {
  const StepSizes sizes = MeasureStep(images);
  const StepTables tables(sizes, record->tables);
  FillStep(images, model_->null_class_row(), tables);
  HMAR_CUDA_RETURN_IF_ERROR(cudaMemcpyAsync(device_tables_, record->tables, tables.bytes,
                                            cudaMemcpyHostToDevice, model_->main_stream()));
  return graphs_->Run(sizes);
}

absl::Status StepLauncher::Launch(absl::Span<const std::shared_ptr<ImageInFlight>> images) {
  std::vector<ImageStep> steps;
  for (const auto& image : images) {
    steps.push_back(Describe(*image));
    open_->images.push_back(image);
    open_->passes.push_back(image->pass());
  }
  HMAR_RETURN_IF_ERROR(LaunchTables(steps, open_));
  HMAR_CUDA_RETURN_IF_ERROR(cudaMemcpyAsync(open_->failed, device_failed_,
                                            images.size() * sizeof(int32_t), cudaMemcpyDeviceToHost,
                                            model_->main_stream()));
  return absl::OkStatus();
}

absl::Status StepLauncher::FetchTokens(absl::Span<const std::shared_ptr<ImageInFlight>> images) {
  const int64_t L = model_->L();
  for (const auto& image : images) {
    int32_t* to = open_->final_tokens + static_cast<int64_t>(open_->finals.size()) * L;
    HMAR_CUDA_RETURN_IF_ERROR(cudaMemcpyAsync(to, model_->slots().tokens_L + image->slot * L,
                                              L * sizeof(int32_t), cudaMemcpyDeviceToHost,
                                              model_->main_stream()));
    open_->finals.push_back(image);
  }
  return absl::OkStatus();
}

absl::Status StepLauncher::Seal() {
  HMAR_CUDA_RETURN_IF_ERROR(cudaEventRecord(open_->done, model_->main_stream()));
  running_.push_back(open_);
  open_ = free_.back();
  free_.pop_back();
  return absl::OkStatus();
}

absl::StatusOr<bool> StepLauncher::Collect(bool wait, Verdict* verdict) {
  Record* record = running_.front();
  const cudaError_t done = wait ? cudaEventSynchronize(record->done) : cudaEventQuery(record->done);
  if (done == cudaErrorNotReady) return false;
  HMAR_CUDA_RETURN_IF_ERROR(done);
  running_.pop_front();
  for (size_t i = 0; i < record->images.size(); ++i) {
    if (record->failed[i] != 0) verdict->failed.push_back({record->images[i], record->passes[i]});
  }
  const int32_t* token = record->final_tokens;
  for (const auto& image : record->finals) {
    for (int k = 0; k < model_->grids().scales; ++k) {
      const int n = model_->config().tokens_of_scale(k);
      image->tokens.emplace_back(token, token + n);
      token += n;
    }
  }
  record->images.clear();
  record->passes.clear();
  record->finals.clear();
  free_.push_back(record);
  return true;
}

// Slot 0's contents do not matter yet.
absl::Status StepLauncher::WarmUpPlan(const std::vector<Pass>& plan, bool capture) {
  for (size_t i = 0; i < plan.size(); ++i) {
    ImageStep step;
    step.pass = plan[i];
    step.reopen = plan[i].settles_scale ? 0 : plan[i + 1].reopened;
    step.drop_mass = 0.01f;
    HMAR_RETURN_IF_ERROR(LaunchTables({step}, open_));
    HMAR_CUDA_RETURN_IF_ERROR(cudaStreamSynchronize(model_->main_stream()));
    if (capture) HMAR_RETURN_IF_ERROR(graphs_->Capture(MeasureStep({step})));
  }
  return absl::OkStatus();
}

absl::Status StepLauncher::WarmUp(bool capture) {
  for (const SchedulePreset preset : {SchedulePreset::kModel, SchedulePreset::kNone}) {
    for (const float cfg_scale : {1.0f, 0.0f}) {
      SamplingParams sampling = model_->config().sampling;
      sampling.cfg_scale = cfg_scale;
      sampling.mask_schedule = PresetSchedule(preset, model_->config());
      HMAR_RETURN_IF_ERROR(WarmUpPlan(PlanPasses(model_->config(), sampling, true, 0), capture));
    }
  }
  return absl::OkStatus();
}

}  // namespace hmar
