#include "tests/fakes/fake_engine.h"

#include <algorithm>
#include <iterator>
#include <new>
#include <stdexcept>
#include <utility>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace hmar {
namespace {

constexpr absl::Duration kGatePatience = absl::Seconds(30);

FailureReport NonFinite(ImageId id) { return {id, absl::InternalError("logits are not finite")}; }

void Throw(FakeThrow what) {
  if (what == FakeThrow::kBadAlloc) throw std::bad_alloc();
  throw std::runtime_error("thrown by the test");
}

template <typename Key>
void ThrowIfDue(const std::map<Key, FakeThrow>& due, Key key) {
  if (const auto found = due.find(key); found != due.end()) Throw(found->second);
}

absl::Status Broken(const std::string& rule) {
  ADD_FAILURE() << "engine contract broken: " << rule;
  return absl::InvalidArgumentError(rule);
}

}  // namespace

EngineInfo FakeEngineInfo(const std::string& name, uint32_t max_images) {
  EngineInfo info;
  ModelConfig& config = info.config;
  config.name = name;
  config.architecture = "hmar";
  config.image_size = 12;
  config.classes = {"cat", "dog", "ship"};
  config.patch_nums = {1, 2, 3};
  config.tokenizer.vocab_size = 64;
  config.sampling.cfg_scale = 2;
  config.sampling.top_k = 10;
  config.sampling.mask_schedule = {{1}, {4}, {2, 3, 4}};
  info.digest = std::string(64, 'f');
  info.device = "cpu";
  info.precision = "fp32";
  info.parameters = 1000;
  info.max_images = max_images;
  return info;
}

ImageTask FakeTask(const EngineInfo& info, uint64_t seed) {
  ImageTask task;
  task.class_id = 1;
  task.seed = seed;
  task.sampling = info.config.sampling;
  return task;
}

FakeEngine::FakeEngine(EngineInfo info, FakeFaults faults)
    : info_(std::move(info)), faults_(std::move(faults)) {}

FakeEngine::~FakeEngine() { OpenGate(); }

absl::Status FakeEngine::Admit(ImageId id, ImageTask task) {
  absl::MutexLock lock(&mutex_);
  if (absl::Status device = CheckDevice(); !device.ok()) return device;
  if (held_.contains(id)) {
    return absl::AlreadyExistsError(Broken(absl::StrCat("id ", id, " admitted twice")).message());
  }
  if (held_.size() >= info_.max_images) {
    return absl::ResourceExhaustedError(Broken("more images than slots").message());
  }
  if ((task.keep == nullptr) != (task.given == nullptr)) {
    return Broken("keep maps and source tokens come together");
  }
  ThrowIfDue(faults_.admit_throws, task.seed);
  const bool refused = faults_.refuse_seeds.contains(task.seed);
  if (!refused) {
    Held& held = held_[id];
    held.scales = NumScales(info_.config, task.sampling);
    held.passes = PlanPasses(info_.config, task);
    held.task = std::move(task);
  }
  Record(Call::kAdmit, {id}, !refused);
  return refused ? absl::InternalError("refused by the test") : absl::OkStatus();
}

void FakeEngine::Cancel(ImageId id) {
  absl::MutexLock lock(&mutex_);
  Record(Call::kCancel, {id}, true);
  held_.erase(id);
}

absl::Status FakeEngine::Truncate(ImageId id, uint32_t scales) {
  absl::MutexLock lock(&mutex_);
  if (absl::Status device = CheckDevice(); !device.ok()) return device;
  const auto found = held_.find(id);
  if (found == held_.end()) return Broken(absl::StrCat("truncation of unknown id ", id));
  Held& held = found->second;
  const absl::Status status = TruncateImage(id, scales, held.next_pass, &held.passes, &held.scales);
  Record(Call::kTruncate, {id}, status.ok());
  if (!status.ok()) return Broken(std::string(status.message()));
  return absl::OkStatus();
}

absl::StatusOr<StepReport> FakeEngine::Step(absl::Span<const ImageId> ids) {
  if (const std::function<void()> slow = DuringStep()) slow();
  absl::MutexLock lock(&mutex_);
  step_at_gate_ = true;
  mutex_.Await(absl::Condition(&gate_open_));
  step_at_gate_ = false;
  const auto goes_on = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return step_count_ < faults_.hang_after_steps;
  };
  mutex_.Await(absl::Condition(&goes_on));

  const absl::Status device = CheckDevice();
  const absl::Status status = device.ok() ? CheckStep(ids) : device;
  Record(Call::kStep, ids, status.ok());
  if (!status.ok()) return status;
  ThrowInStep(ids);
  ++step_count_;
  const std::map<ImageId, EngineLie> lies = Lies();
  StepReport report;
  for (ImageId id : ids) Advance(id, held_.at(id), report);
  Deliver(/*wait=*/ids.empty(), report);
  for (const auto& [id, lie] : lies) Tell(lie, id, &report);
  return report;
}

absl::StatusOr<std::vector<TokenPyramid>> FakeEngine::Encode(
    absl::Span<const Picture* const> pictures) {
  absl::MutexLock lock(&mutex_);
  absl::Status status = CheckDevice();
  if (status.ok() && pictures.size() > faults_.max_encode_pictures) {
    status = absl::ResourceExhaustedError("out of memory in the encoder");
  }
  std::vector<TokenPyramid> encoded;
  for (const Picture* picture : pictures) {
    if (static_cast<int>(picture->width) != info_.config.image_size) {
      return Broken("a picture of another size");
    }
    if (status.ok() && faults_.encode_fails_bytes.contains(picture->rgb[0])) {
      status = absl::InternalError("the test fails this picture");
    }
    ThrowIfDue(faults_.encode_throws, picture->rgb[0]);
    if (faults_.encode_omits_bytes.contains(picture->rgb[0])) continue;
    encoded.push_back(FakeEncoding(info_, *picture));
    if (faults_.encode_cuts_bytes.contains(picture->rgb[0])) encoded.back().pop_back();
  }
  calls_.push_back({Call::kEncode, {}, {}, status.ok(), pictures.size()});
  if (!status.ok()) return status;
  return encoded;
}

absl::Status FakeEngine::CheckDevice() const {
  if (step_count_ < faults_.lost_after_steps) return absl::OkStatus();
  return absl::UnavailableError("CUDA error 719: unspecified launch failure");
}

absl::Status FakeEngine::CheckStep(absl::Span<const ImageId> ids) const {
  const std::set<ImageId> unique(ids.begin(), ids.end());
  if (unique.size() != ids.size()) return Broken("an id is named twice in a step");
  for (ImageId id : ids) {
    auto held = held_.find(id);
    if (held == held_.end()) return Broken(absl::StrCat("step of unknown id ", id));
    if (held->second.decoding) return Broken(absl::StrCat("step of finished id ", id));
    if (faults_.step_fails_seeds.contains(held->second.task.seed)) {
      return absl::InternalError(absl::StrCat("the test fails seed ", held->second.task.seed));
    }
  }
  if (ids.size() > faults_.max_step_images) {
    return absl::ResourceExhaustedError(absl::StrCat("out of memory at ", ids.size(), " images"));
  }
  return absl::OkStatus();
}

void FakeEngine::ThrowInStep(absl::Span<const ImageId> ids) const {
  for (const ImageId id : ids) ThrowIfDue(faults_.step_throws, held_.at(id).task.seed);
}

std::map<ImageId, EngineLie> FakeEngine::Lies() const {
  std::map<ImageId, EngineLie> lies;
  for (const auto& [id, held] : held_) {
    const auto found = faults_.lies.find(held.task.seed);
    if (found != faults_.lies.end()) lies.emplace(id, found->second);
  }
  return lies;
}

std::function<void()> FakeEngine::DuringStep() const {
  absl::MutexLock lock(&mutex_);
  return faults_.during_step;
}

void FakeEngine::Advance(ImageId id, Held& held, StepReport& report) {
  if (held.next_pass == 1 && faults_.non_finite_seeds.contains(held.task.seed)) {
    held.failure_step = step_count_ + faults_.failure_delay_steps;
    if (faults_.failure_delay_steps == 0) return;  // Less those that failed.
  }
  if (held.next_pass == 0) OrderPreviews(held, 0, ScaleOfPass(held.passes, 0, held.scales));
  if (held.next_pass < held.passes.size()) {
    const Pass& pass = held.passes[held.next_pass++];
    const bool last = held.next_pass == held.passes.size();
    report.passes.push_back({id, pass.scale, pass.step, pass.rows(), pass.settles_scale, last});
    report.rows += pass.rows();
    if (pass.settles_scale)
      OrderPreviews(held, pass.scale, ScaleOfPass(held.passes, held.next_pass, held.scales));
  }
  if (held.next_pass == held.passes.size()) {
    held.decoding = true;
    held.picture_step = step_count_ + faults_.picture_delay_steps;
  }
}

void FakeEngine::OrderPreviews(Held& held, int first, int last) {
  for (int scale = first; scale < last; ++scale) {
    if (!WantsPreview(held.task, scale)) continue;
    held.previews.emplace_back(scale, step_count_ + faults_.preview_delay_steps);
  }
}

void FakeEngine::Deliver(bool wait, StepReport& report) {
  for (auto entry = held_.begin(); entry != held_.end();) {
    auto& [id, held] = *entry;
    const bool waited_for = wait && held.decoding;
    const bool fails = held.failure_step && (waited_for || *held.failure_step <= step_count_);
    const bool done =
        !held.failure_step && held.decoding && (waited_for || held.picture_step <= step_count_);
    if (!fails) DeliverPreviews(id, held, done, report);
    if (fails) report.failures.push_back(NonFinite(id));
    if (done) {
      report.images.push_back(Finished(id, held));
    }
    if (waited_for) wait = false;  // A Step without ids promises one, no more.
    entry = fails || done ? held_.erase(entry) : std::next(entry);
  }
}

ImageReport FakeEngine::Finished(ImageId id, const Held& held) const {
  ImageReport image{id, FakePicture(info_, held.task), FakeTokens(info_, held.task)};
  if (held.scales == info_.config.num_scales()) return image;
  ImageTask task = held.task;
  task.preview_mode = PreviewMode::kFull;
  image.picture = FakePreview(info_, task, held.scales - 1);
  image.tokens.resize(held.scales);
  return image;
}

void FakeEngine::DeliverPreviews(ImageId id, Held& held, bool all, StepReport& report) {
  while (!held.previews.empty() && (all || held.previews.front().second <= step_count_)) {
    const uint32_t scale = held.previews.front().first;
    report.previews.push_back({id, scale, FakePreview(info_, held.task, scale)});
    held.previews.pop_front();
  }
}

void FakeEngine::Record(Call::Kind kind, absl::Span<const ImageId> ids, bool ok) {
  Call call{kind, {ids.begin(), ids.end()}, {}, ok};
  for (ImageId id : ids) {
    if (auto held = held_.find(id); held != held_.end()) {
      call.seeds.push_back(held->second.task.seed);
    }
  }
  calls_.push_back(std::move(call));
}

void FakeEngine::CloseGate() {
  absl::MutexLock lock(&mutex_);
  gate_open_ = false;
}

void FakeEngine::OpenGate() {
  absl::MutexLock lock(&mutex_);
  gate_open_ = true;
}

bool FakeEngine::AwaitStepAtGate() {
  absl::MutexLock lock(&mutex_);
  auto blocked = [this]()
                     ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return step_at_gate_ && !gate_open_; };
  return mutex_.AwaitWithTimeout(absl::Condition(&blocked), kGatePatience);
}

void FakeEngine::SetFaults(FakeFaults faults) {
  absl::MutexLock lock(&mutex_);
  faults_ = std::move(faults);
}

std::vector<FakeEngine::Call> FakeEngine::calls() const {
  absl::MutexLock lock(&mutex_);
  return calls_;
}

std::vector<FakeEngine::Call> FakeEngine::steps() const {
  std::vector<Call> steps;
  for (Call& call : calls()) {
    if (call.kind == Call::kStep) steps.push_back(std::move(call));
  }
  return steps;
}

size_t FakeEngine::images_held() const {
  absl::MutexLock lock(&mutex_);
  return held_.size();
}

}  // namespace hmar
