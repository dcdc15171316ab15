#ifndef HMAR_CLIENT_TOKENS_FILE_H_
#define HMAR_CLIENT_TOKENS_FILE_H_

// Images as tokens on disk, to be continued later (GenerateRequest.prefix): JSON,
//   {"model": "hmar-cifar10", "images": [{"seed": 7, "scales": [[12], [40, 8, 1, 77], ...]}]}

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "hmar/v1/image_generation.pb.h"

namespace hmar {

struct ImageTokens {
  uint64_t seed = 0;
  std::vector<std::vector<uint32_t>> scales;  // Codebook indices of each scale, row by row.
};

struct TokensFile {
  std::string model;
  std::vector<ImageTokens> images;
};

// ASCII, whatever the model's name is.
std::string FormatTokens(const TokensFile& file);

// `source` names the text in errors. INVALID_ARGUMENT: not such JSON; the message says what is
// wrong.
absl::StatusOr<TokensFile> ParseTokens(const std::string& text, const std::string& source);

// The first `scales` scales of the file's image `index`, as a request takes them; scales 0: all
// there are. `source` names the file in errors. INVALID_ARGUMENT: the file has no such image, or
// fewer scales.
absl::StatusOr<v1::ScalePrefix> MakePrefix(const TokensFile& file, const std::string& source,
                                           uint32_t index, uint32_t scales);

}  // namespace hmar

#endif  // HMAR_CLIENT_TOKENS_FILE_H_
