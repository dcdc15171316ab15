#ifndef HMAR_CLIENT_LOAD_REQUEST_MAKER_H_
#define HMAR_CLIENT_LOAD_REQUEST_MAKER_H_

// The requests of a kind of call.

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "client/load/mix.h"
#include "hmar/v1/image_generation.pb.h"

namespace hmar::load {

// What of a model the requests need.
struct ModelFacts {
  uint32_t classes = 0;
  uint32_t image_size = 0;  // Pixels a side; at most kMaxUploadSide.
};
inline constexpr uint32_t kMaxUploadSide = 4096;

// Makes requests; the same seed gives the same request. Immutable: thread-safe.
class RequestMaker {
 public:
  // Draws the pictures that an edit sends. INTERNAL: libpng failed.
  static absl::StatusOr<RequestMaker> Make(const Kind& kind, const ModelFacts& model);

  // Of class `seed` modulo the model's classes. Edits send picture `seed` modulo kind.uploads, and
  // have its middle, half a side wide, made anew.
  v1::GenerateRequest Request(uint64_t seed) const;

 private:
  RequestMaker(v1::GenerateRequest prototype, uint32_t classes)
      : prototype_(std::move(prototype)), classes_(classes) {}

  v1::GenerateRequest prototype_;
  uint32_t classes_;
  std::vector<std::string> uploads_;  // PNGs; of edits.
};

}  // namespace hmar::load

#endif  // HMAR_CLIENT_LOAD_REQUEST_MAKER_H_
