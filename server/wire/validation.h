#ifndef HMAR_SERVER_WIRE_VALIDATION_H_
#define HMAR_SERVER_WIRE_VALIDATION_H_

// From the API's messages to plain structs. A request either resolves completely or is refused with
// every rule it breaks.

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "hmar/v1/image_generation.pb.h"
#include "server/base/random_source.h"
#include "server/uploads/upload_limits.h"
#include "server/wire/model_catalog.h"
#include "server/wire/request.h"

namespace hmar {

inline constexpr size_t kMaxRequestIdBytes = 128;

struct RequestLimits {
  uint32_t max_images = 64;                   // A request.
  size_t max_reply_bytes = size_t{16} << 20;  // One message of ours.
  int default_png_compression = 0;            // For requests that do not say; 0 .. 9.
  UploadLimits upload;
};

// What requests are checked against. All of it outlives the calls; all of it may be shared by
// threads.
struct ValidationContext {
  const ModelCatalog* catalog = nullptr;
  RequestLimits limits;
  RandomSource* random = nullptr;  // For absent seeds and ids.
};

// The id of a request for logs and errors, before anything else is known of it: the client's if it
// is valid, otherwise a new one (a version 4 UUID).
std::string RequestIdOf(const v1::GenerateRequest& request, RandomSource* random);

// Upper bound of an Image message of this model, whatever is asked for.
size_t LargestImageBytes(const ModelConfig& config);

// Resolves a streaming request under `id` (RequestIdOf's answer). NOT_FOUND: the model.
// INVALID_ARGUMENT: every broken rule, as status_details.h says.
absl::StatusOr<ResolvedRequest> Resolve(const v1::GenerateRequest& request, const std::string& id,
                                        const ValidationContext& context);

// The same for a unary request, whose field paths start with "request." Previews must be off, and
// all images must fit one reply.
absl::StatusOr<ResolvedRequest> Resolve(const v1::GenerateImagesRequest& request,
                                        const std::string& id, const ValidationContext& context);

}  // namespace hmar

#endif  // HMAR_SERVER_WIRE_VALIDATION_H_
