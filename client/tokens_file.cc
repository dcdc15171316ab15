#include "client/tokens_file.h"

#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"

namespace hmar {

// In hmar and by these names, for nlohmann::json to find them.
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(ImageTokens, seed, scales)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(TokensFile, model, images)

std::string FormatTokens(const TokensFile& file) {
  return absl::StrCat(nlohmann::json(file).dump(), "\n");
}

absl::StatusOr<TokensFile> ParseTokens(const std::string& text, const std::string& source) {
  try {
    return nlohmann::json::parse(text).get<TokensFile>();
  } catch (const nlohmann::json::exception& error) {
    return absl::InvalidArgumentError(
        absl::StrCat(source, ": not a tokens file: ", std::string(error.what())));
  }
}

absl::StatusOr<v1::ScalePrefix> MakePrefix(const TokensFile& file, uint32_t index,
                                           uint32_t scales) {
  if (index >= file.images.size()) {
    return absl::InvalidArgumentError(
        absl::StrCat("image ", index, " of a tokens file with ", file.images.size()));
  }
  const ImageTokens& image = file.images[index];
  if (scales > image.scales.size()) {
    return absl::InvalidArgumentError(
        absl::StrCat(scales, " scales of an image with ", image.scales.size()));
  }
  const size_t count = scales == 0 ? image.scales.size() : scales;
  v1::ScalePrefix prefix;
  for (size_t k = 0; k < count; ++k) {
    const std::vector<uint32_t>& tokens = image.scales[k];
    prefix.add_tokens()->mutable_tokens()->Add(tokens.begin(), tokens.end());
  }
  return prefix;
}

}  // namespace hmar
