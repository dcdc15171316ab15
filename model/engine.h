#ifndef HMAR_MODEL_ENGINE_H_
#define HMAR_MODEL_ENGINE_H_

// The packed engine: it holds images in flight and advances any set of them by one pass in one
// block-diagonal forward. No torch here: the server includes this.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "model/config.h"
#include "model/edit.h"
#include "model/picture.h"
#include "model/sampling_plan.h"

namespace hmar {

// Names an image in flight; chosen by the caller, unique among the images an engine holds.
using ImageId = uint64_t;

// Codebook indices of one scale, row by row: p * p of them, each in [0, V).
using TokenMap = std::vector<int32_t>;

// An image's tokens: K maps.
using TokenPyramid = std::vector<TokenMap>;

enum class PreviewMode {
  kNone,
  kFast,  // Linear read-out of f_hat, 4 pixels a token of the last grid; nearly free.
  kFull,  // The real decoder at full size.
};

// One image to make. Plain data. The caller has checked it: class_id < classes, CheckSampling
// empty, token and keep maps of the right sizes, tokens inside the codebook.
struct ImageTask {
  std::optional<uint32_t> class_id;  // Absent: no class.
  uint64_t seed = 0;
  SamplingParams sampling;
  TokenPyramid prefix;  // Scales 0 .. n-1, n <= NumScales, taken as drawn, also those of an edit.
  // An edit: K maps of the tokens that are kept, and the source image's tokens (Engine::Encode).
  // Both or neither; the images of a request share them.
  std::shared_ptr<const std::vector<KeepMap>> keep;
  std::shared_ptr<const TokenPyramid> given;
  PreviewMode preview_mode = PreviewMode::kNone;
  std::vector<bool>
      preview_scales;  // K entries when preview_mode is not kNone: which scales leave a preview.
};

// INVALID_ARGUMENT, with both sizes, if a picture is not of the model's size.
absl::Status CheckPictures(absl::Span<const Picture* const> pictures, const ModelConfig& config);

// The passes that a task takes.
std::vector<Pass> PlanPasses(const ModelConfig& config, const ImageTask& task);

// What Engine::Truncate(id, scales) makes of an image with this plan, which stands before its pass
// `next_pass` and is to have `num_scales` scales. Errors: as there.
absl::Status TruncateImage(ImageId id, uint32_t scales, size_t next_pass, std::vector<Pass>* plan,
                           int* num_scales);

// The tokens that a task brings for a scale: its prefix's, or else its source image's. REQUIRES:
// `scale` is one of the prefix, or the task is an edit.
const TokenMap& KnownTokens(const ImageTask& task, int scale);

// Whether a task asks for a preview of a scale.
bool WantsPreview(const ImageTask& task, int scale);

// What a step did for one image that took part in it.
struct PassReport {
  ImageId id = 0;
  uint16_t scale = 0;  // The pass that was run.
  uint16_t step = 0;
  uint32_t rows = 0;           // Its forward rows.
  bool settled_scale = false;  // The scale's tokens are final now.
  bool last = false;  // It was the image's last pass: the image left the engine's step set.
};

struct PreviewReport {
  ImageId id = 0;
  uint32_t scale = 0;
  Picture picture;
};

struct ImageReport {
  ImageId id = 0;
  Picture picture;      // S x S.
  TokenPyramid tokens;  // Of the scales that it has: K, or sampling.max_scales, or as truncated.
};

// INTERNAL: logits or a picture of the image were not finite.
struct FailureReport {
  ImageId id = 0;
  absl::Status status;
};

struct StepReport {
  std::vector<PassReport> passes;       // In the order of the ids given, less those that failed.
  std::vector<PreviewReport> previews;  // Of one image in scale order.
  std::vector<ImageReport> images;      // Finished pictures; their images have left the engine.
  // Their images have left the engine; the others are unharmed. An engine that works ahead of its
  // device may report a failure after later passes of the image, also after its `last`.
  std::vector<FailureReport> failures;
  uint32_t rows = 0;          // Forward rows of the whole step.
  double decode_seconds = 0;  // Part of the step spent in the decoder.
};

// Memory that an engine takes for good: at load, but what on the CPU comes with images, up to this.
struct MemoryUse {
  std::string kind;  // "weights", "slots", "workspace", ...: unique in an engine.
  uint64_t bytes = 0;
};

// What an engine holds; constant after loading.
struct EngineInfo {
  ModelConfig config;
  std::string digest;             // SHA-256 of config and weights, lower-case hex.
  std::string device;             // "cpu", "cuda:0"
  std::string precision;          // "fp32", "bf16", "fp8"
  uint64_t parameters = 0;        // Elements of every weight of the transformer and the tokenizer.
  uint32_t max_images = 0;        // Most images in flight.
  uint32_t max_step_rows = 0;     // Most forward rows of a step; 0: no limit of its own.
  std::vector<MemoryUse> memory;  // Of the device; kinds differ.
};

// Thread-compatible, and stricter: after construction, one fixed thread calls everything but
// info(). The results of an image depend on its task and the model alone, to the byte: not on what
// shares its steps, nor on its position in them.
class Engine {
 public:
  virtual ~Engine() = default;

  // Safe from any thread.
  virtual const EngineInfo& info() const = 0;

  // Takes an image in. RESOURCE_EXHAUSTED when max_images are in flight, ALREADY_EXISTS for an id
  // in use, FAILED_PRECONDITION for FAST previews where the engine has none; nothing changes on
  // failure. The image first runs in the next Step that names it.
  virtual absl::Status Admit(ImageId id, ImageTask task) = 0;

  // Drops an image at once and frees its slot; unknown ids are ignored. It is in no later report.
  virtual void Cancel(ImageId id) = 0;

  // Ends an image early, after its first `scales` scales: from its next pass on every pass settles
  // its scale (TruncatePlan), and its picture is decoded from these scales' sum, as a FULL preview
  // of the last of them is. With all the scales it was to have only its mask passes go. May be
  // called again to end it earlier still. INVALID_ARGUMENT, and nothing changes: an id that is
  // unknown or has no pass left, or scales not above its next pass's or above those it had left.
  virtual absl::Status Truncate(ImageId id, uint32_t scales) = 0;

  // Advances each of `ids` by one pass, whatever scales and passes they stand at; images not named
  // stay as they are. An engine may deliver a picture in a report after the one that says `last`:
  // such images are still held, take part in no forward, and an empty `ids` waits for at least one
  // of them (with none outstanding it returns an empty report). On error no image advanced, all are
  // still held, and the call may be repeated with fewer ids (RESOURCE_EXHAUSTED: out of memory).
  // INVALID_ARGUMENT: an id twice, unknown, past its last pass, or more rows than max_step_rows.
  // UNAVAILABLE: the device is lost (a CUDA error that sticks to the process); every later call
  // says the same, and nothing but the end of the process helps.
  virtual absl::StatusOr<StepReport> Step(absl::Span<const ImageId> ids) = 0;

  // The tokens of source images, S x S each, in their order: what an edit keeps. Those of a picture
  // depend on it and the model alone. Takes no slot and changes no image in flight; blocks for the
  // time of the encoder. INVALID_ARGUMENT: a picture of another size. RESOURCE_EXHAUSTED: out of
  // memory; fewer pictures may do. INTERNAL: what the encoder makes of a picture is not finite; the
  // others may do without it. UNAVAILABLE: as Step.
  virtual absl::StatusOr<std::vector<TokenPyramid>> Encode(
      absl::Span<const Picture* const> pictures) = 0;
};

}  // namespace hmar

#endif  // HMAR_MODEL_ENGINE_H_
