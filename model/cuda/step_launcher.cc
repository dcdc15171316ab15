#include "model/cuda/step_launcher.h"

#include <algorithm>
#include <cstring>

#include "model/cuda/cuda_tokenizer.h"

namespace hmar {
namespace {

constexpr char kStaging[] = "step tables";

}  // namespace

// A step under way: pinned memory that must stay as it is until the device is done with it.
struct StepLauncher::Record {
  void* tables = nullptr;
  int32_t* failed = nullptr;        // (slots)
  int32_t* known_tokens = nullptr;  // (slots, L)
  uint8_t* edited = nullptr;        // (slots, L)
  // (2 K * slots): an image lays a scale once at most; a slot has two images at most between two
  // seals, one that ended and one that began.
  kernels::TokenMapJob* lay_jobs = nullptr;
  int32_t* final_tokens = nullptr;  // (slots, L)
  cudaEvent_t done = nullptr;
  int64_t laid = 0;                                    // Of lay_jobs, taken.
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
  HMAR_ASSIGN_OR_RETURN(device_lay_jobs_,
                        memory.Allocate<kernels::TokenMapJob>(kStaging, 2 * K * slots));
  for (int i = 0; i < kAhead + 1; ++i) {
    Record* record = records_.emplace_back(new Record).get();
    HMAR_ASSIGN_OR_RETURN(record->tables, memory.AllocatePinned<uint8_t>(bytes));
    HMAR_ASSIGN_OR_RETURN(record->failed, memory.AllocatePinned<int32_t>(slots));
    HMAR_ASSIGN_OR_RETURN(record->known_tokens, memory.AllocatePinned<int32_t>(slots * L));
    HMAR_ASSIGN_OR_RETURN(record->edited, memory.AllocatePinned<uint8_t>(slots * L));
    HMAR_ASSIGN_OR_RETURN(record->lay_jobs,
                          memory.AllocatePinned<kernels::TokenMapJob>(2 * K * slots));
    HMAR_ASSIGN_OR_RETURN(record->final_tokens, memory.AllocatePinned<int32_t>(slots * L));
    HMAR_CUDA_RETURN_IF_ERROR(cudaEventCreateWithFlags(&record->done, cudaEventDisableTiming));
    free_.push_back(record);
  }
  open_ = free_.back();
  free_.pop_back();
  graphs_ = std::make_unique<StepGraphs>(model_, device_tables_, device_failed_);
  return absl::OkStatus();
}

// Where a pass draws; null: everywhere.
const uint8_t* StepLauncher::OpenOf(const Pass& pass, int slot, bool edit) const {
  const kernels::Grids& grids = model_->grids();
  if (pass.step > 0) return model_->slots().open + int64_t{slot} * grids.most_tokens;
  if (!edit) return nullptr;
  return model_->slots().edited_L + slot * model_->L() + grids.first[pass.scale];
}

ImageStep StepLauncher::Describe(const ImageInFlight& image) const {
  const Pass& pass = image.pass();
  const SamplingParams& sampling = image.task.sampling;
  return {.slot = image.slot,
          .class_row = image.task.class_id ? static_cast<int32_t>(*image.task.class_id)
                                           : model_->null_class_row(),
          .pass = pass,
          .reopen = pass.settles_scale ? 0 : image.passes[image.next_pass + 1].reopened,
          .open = OpenOf(pass, image.slot, image.task.keep != nullptr),
          .seed = image.task.seed,
          .guidance = GuidanceWeight(sampling.cfg_scale, pass.scale, model_->grids().scales),
          .temperature = image.draw.temperature,
          .top_k = image.draw.top_k,
          .drop_mass = image.draw.drop_mass};
}

absl::Status StepLauncher::Start(absl::Span<const std::shared_ptr<ImageInFlight>> images) {
  const cudaStream_t stream = model_->main_stream();
  const int64_t L = model_->L();
  int32_t* tokens = open_->known_tokens;
  uint8_t* edited = open_->edited;
  for (const auto& image : images) {
    HMAR_RETURN_IF_ERROR(model_->ClearSlot(image->slot));
    const bool edit = image->task.keep != nullptr;
    const auto known_scales =
        static_cast<int>(edit ? image->task.given->size() : image->task.prefix.size());
    if (known_scales == 0) continue;
    int32_t* const first = tokens;
    for (int k = 0; k < known_scales; ++k) {
      const TokenMap& map = KnownTokens(image->task, k);
      tokens = std::copy(map.begin(), map.end(), tokens);
    }
    HMAR_CUDA_RETURN_IF_ERROR(cudaMemcpyAsync(model_->slots().tokens_L + image->slot * L, first,
                                              (tokens - first) * sizeof(int32_t),
                                              cudaMemcpyHostToDevice, stream));
    if (!edit) continue;
    uint8_t* const first_edited = edited;
    for (const KeepMap& keep : *image->task.keep) {
      edited = std::transform(keep.begin(), keep.end(), edited,
                              [](uint8_t kept) { return static_cast<uint8_t>(kept == 0); });
    }
    HMAR_CUDA_RETURN_IF_ERROR(cudaMemcpyAsync(model_->slots().edited_L + image->slot * L,
                                              first_edited, edited - first_edited,
                                              cudaMemcpyHostToDevice, stream));
  }
  return absl::OkStatus();
}

absl::Status StepLauncher::Lay(absl::Span<const kernels::TokenMapJob> jobs) {
  kernels::TokenMapJob* const staged = open_->lay_jobs + open_->laid;
  kernels::TokenMapJob* const on_device = device_lay_jobs_ + open_->laid;
  std::copy(jobs.begin(), jobs.end(), staged);
  open_->laid += static_cast<int64_t>(jobs.size());
  HMAR_CUDA_RETURN_IF_ERROR(cudaMemcpyAsync(on_device, staged,
                                            jobs.size() * sizeof(kernels::TokenMapJob),
                                            cudaMemcpyHostToDevice, model_->main_stream()));
  return model_->LayTokens(on_device, static_cast<int>(jobs.size()));
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
    image->tokens = PyramidOf(model_->config(), token);
    image->tokens.resize(image->num_scales);
    token += model_->L();
  }
  record->images.clear();
  record->passes.clear();
  record->finals.clear();
  record->laid = 0;
  free_.push_back(record);
  return true;
}

// Slot 0's contents do not matter yet.
absl::Status StepLauncher::WarmUpPlan(const std::vector<Pass>& plan, bool capture) {
  for (size_t i = 0; i < plan.size(); ++i) {
    ImageStep step;
    step.pass = plan[i];
    step.reopen = plan[i].settles_scale ? 0 : plan[i + 1].reopened;
    step.open = OpenOf(plan[i], step.slot, /*edit=*/false);
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
