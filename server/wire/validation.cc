#include "server/wire/validation.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "model/status_macros.h"
#include "server/base/utf8.h"
#include "server/wire/api_messages.h"
#include "server/wire/edit_validation.h"
#include "server/wire/output_validation.h"
#include "server/wire/scale_validation.h"
#include "server/wire/status_details.h"
#include "server/wire/violations.h"

namespace hmar {
namespace {

void CheckRequestId(const std::string& id, Violations* violations) {
  if (id.size() > kMaxRequestIdBytes) {
    violations->Add(Reason::kRequestIdInvalid, "request_id",
                    absl::StrCat(id.size(), " bytes; at most ", kMaxRequestIdBytes));
  } else if (!IsPrintableUtf8(id)) {
    violations->Add(Reason::kRequestIdInvalid, "request_id",
                    absl::StrCat(Quoted(id), " is not printable UTF-8"));
  }
}

void ResolveTarget(const v1::GenerateRequest& request, const ModelCatalog& catalog,
                   ResolvedRequest* resolved, Violations* violations) {
  const EngineInfo& model = catalog.models()[resolved->job.model];
  if (request.has_class_id()) {
    resolved->job.prototype.class_id = request.class_id();
    if (const size_t classes = model.config.classes.size(); request.class_id() >= classes) {
      violations->Add(Reason::kUnknownClass, "class_id",
                      absl::StrCat(request.class_id(), "; model ", model.config.name, " has ",
                                   classes, " classes, from 0"));
    }
  } else if (request.has_class_name()) {
    const absl::StatusOr<uint32_t> id =
        catalog.classes(resolved->job.model).Find(request.class_name());
    if (id.ok()) {
      resolved->job.prototype.class_id = *id;
    } else {
      violations->Add(ReasonOf(id.status()), "class_name", std::string(id.status().message()));
    }
  }
}

void ResolveImages(const v1::GenerateRequest& request, const RequestLimits& limits,
                   ResolvedRequest* resolved, Violations* violations) {
  resolved->job.images = std::max(1u, request.num_images());
  if (resolved->job.images > limits.max_images) {
    violations->Add(Reason::kFieldOutOfRange, "num_images",
                    absl::StrCat(request.num_images(), "; at most ", limits.max_images));
  }
}

void ResolveScheduling(const v1::Scheduling& given, Job* job, Violations* violations) {
  if (given.priority() < kMinPriority || given.priority() > kMaxPriority) {
    violations->Add(Reason::kFieldOutOfRange, "scheduling.priority",
                    absl::StrCat(given.priority(), "; ", kMinPriority, " to ", kMaxPriority));
  }
  job->priority = given.priority();
  switch (given.on_deadline()) {
    case v1::Scheduling::ON_DEADLINE_UNSPECIFIED:
      job->on_deadline = OnDeadline::kFail;
      break;
    case v1::Scheduling::ON_DEADLINE_FAIL:
      job->on_deadline = OnDeadline::kRefuse;
      break;
    case v1::Scheduling::ON_DEADLINE_DEGRADE:
      job->on_deadline = OnDeadline::kDegrade;
      break;
    default:
      violations->AddUnknownEnum("scheduling.on_deadline", given.on_deadline());
  }
}

// What an embedded receipt takes, at most: its text, what its format needs around that, and what a
// JPEG's segments of 64 KB do.
size_t EmbeddedBytes(size_t receipt_bytes) { return receipt_bytes + receipt_bytes / 500 + 1024; }

// Upper bound of one Image message.
size_t ImageBytes(const ModelConfig& config, const ResolvedRequest& request) {
  constexpr size_t kTokenBytes = 5;  // The longest varint of 32 bits.
  const auto side = static_cast<uint32_t>(config.image_size);
  const size_t tokens = request.output.return_tokens ? kTokenBytes * config.total_tokens() : 0;
  const size_t generated =
      request.edit.has_value() ? config.tokens_of_scale(config.num_scales() - 1) : 0;
  const size_t receipt = MaxReceiptBytes(config, request);
  const size_t embedded = request.output.embeds_receipt() ? EmbeddedBytes(receipt) : 0;
  return MaxPictureBytes(side, side) + tokens + generated + receipt + embedded;
}

absl::StatusOr<ResolvedRequest> ResolveFields(const v1::GenerateRequest& request,
                                              const std::string& id,
                                              const ValidationContext& context,
                                              Violations* violations) {
  const std::optional<size_t> model = context.catalog->Find(request.model());
  if (!model.has_value()) return ModelNotFound(request.model(), context.catalog->names());
  const ModelConfig& config = context.catalog->models()[*model].config;

  ResolvedRequest resolved;
  resolved.id = id;
  resolved.field_prefix = violations->prefix();
  resolved.job.model = *model;
  resolved.validate_only = request.validate_only();
  ResolveTarget(request, *context.catalog, &resolved, violations);
  resolved.job.prototype.seed = request.has_seed() ? request.seed() : context.random->Next();
  ResolveImages(request, context.limits, &resolved, violations);
  resolved.job.prototype.sampling = ResolveSampling(request.sampling(), config, violations);
  ResolvePreviews(request.previews(), config, &resolved.job.prototype, violations);
  resolved.output =
      ResolveOutput(request.output(), context.limits.default_png_compression, violations);
  if (request.has_edit()) {
    resolved.edit = ResolveEdit(request.edit(), config, context.limits.upload, violations);
  }
  resolved.job.prototype.prefix =
      ResolvePrefix(request.prefix(), config, resolved.job.prototype.sampling, violations);
  ResolveScheduling(request.scheduling(), &resolved.job, violations);
  CheckRequestId(request.request_id(), violations);
  return resolved;
}

}  // namespace

size_t LargestImageBytes(const ModelConfig& config) {
  ResolvedRequest request;
  request.output.return_tokens = true;
  request.output.embed_receipt = true;
  request.edit.emplace();
  for (int k = 0; k < config.num_scales(); ++k) {  // Every token a number of its own.
    request.job.prototype.prefix.emplace_back(config.tokens_of_scale(k));
    request.job.prototype.sampling.mask_schedule.emplace_back(config.tokens_of_scale(k), 1);
  }
  return ImageBytes(config, request);
}

std::string RequestIdOf(const v1::GenerateRequest& request, RandomSource* random) {
  const std::string& id = request.request_id();
  if (!id.empty() && id.size() <= kMaxRequestIdBytes && IsPrintableUtf8(id)) return id;
  const uint64_t high = (random->Next() & ~0xf000ULL) | 0x4000ULL;       // Version 4.
  const uint64_t low = (random->Next() & ~(3ULL << 62)) | (2ULL << 62);  // RFC 9562's variant.
  const auto hex = [](uint64_t value) { return absl::StrCat(absl::Hex(value, absl::kZeroPad16)); };
  const std::string digits = hex(high) + hex(low);
  return absl::StrCat(digits.substr(0, 8), "-", digits.substr(8, 4), "-", digits.substr(12, 4), "-",
                      digits.substr(16, 4), "-", digits.substr(20));
}

absl::StatusOr<ResolvedRequest> Resolve(const v1::GenerateRequest& request, const std::string& id,
                                        const ValidationContext& context) {
  Violations violations("");
  HMAR_ASSIGN_OR_RETURN(ResolvedRequest resolved, ResolveFields(request, id, context, &violations));
  HMAR_RETURN_IF_ERROR(violations.ToStatus());
  return resolved;
}

absl::StatusOr<ResolvedRequest> Resolve(const v1::GenerateImagesRequest& request,
                                        const std::string& id, const ValidationContext& context) {
  Violations violations("request.");
  if (!request.has_request()) {
    return InvalidRequest({{Reason::kFieldMissing, "request", "must be set"}});
  }
  HMAR_ASSIGN_OR_RETURN(ResolvedRequest resolved,
                        ResolveFields(request.request(), id, context, &violations));
  if (resolved.job.prototype.preview_mode != PreviewMode::kNone) {
    violations.Add(Reason::kFieldConflict, "previews.mode",
                   "a unary reply has no previews; call Generate");
  }
  const ModelConfig& config = context.catalog->models()[resolved.job.model].config;
  const size_t fit = context.limits.max_reply_bytes / ImageBytes(config, resolved);
  if (resolved.job.images > fit && resolved.job.images <= context.limits.max_images) {
    violations.Add(
        Reason::kReplyTooLarge, "num_images",
        absl::StrCat(resolved.job.images, "; ", fit, " fit one reply of ",
                     context.limits.max_reply_bytes, " bytes; ask for fewer, or for a stream"));
  }
  HMAR_RETURN_IF_ERROR(violations.ToStatus());
  return resolved;
}

}  // namespace hmar
