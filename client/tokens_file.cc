#include "client/tokens_file.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "client/token_lists.h"

namespace hmar {

// In hmar and by these names, for nlohmann::json to find them.
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(ImageTokens, seed, scales)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(TokensFile, model, images)

namespace {

absl::StatusOr<TokensFile> ReadTokens(const nlohmann::json& json) {
  TokensFile file{.model = json.at("model").get<std::string>(), .images = {}};
  for (const nlohmann::json& image : json.at("images")) {
    const auto seed = image.at("seed").get<uint64_t>();
    absl::StatusOr<std::vector<std::vector<uint32_t>>> scales = TokenLists(image.at("scales"));
    if (!scales.ok()) {
      return absl::InvalidArgumentError(absl::StrCat("scales of image ", file.images.size(), ": ",
                                                     std::string(scales.status().message())));
    }
    file.images.push_back({.seed = seed, .scales = *std::move(scales)});
  }
  return file;
}

absl::Status NoTokensFile(const std::string& source, const std::string& reason) {
  return absl::InvalidArgumentError(absl::StrCat(source, ": not a tokens file: ", reason));
}

}  // namespace

std::string FormatTokens(const TokensFile& file) {
  // All but ASCII is escaped, and bytes that are no UTF-8 are replaced: the name is the server's.
  return absl::StrCat(nlohmann::json(file).dump(-1, ' ', /*ensure_ascii=*/true,
                                                nlohmann::json::error_handler_t::replace),
                      "\n");
}

absl::StatusOr<TokensFile> ParseTokens(const std::string& text, const std::string& source) {
  try {
    absl::StatusOr<TokensFile> file = ReadTokens(nlohmann::json::parse(text));
    return file.ok() ? file : NoTokensFile(source, std::string(file.status().message()));
  } catch (const nlohmann::json::exception& error) {
    return NoTokensFile(source, error.what());
  }
}

absl::StatusOr<v1::ScalePrefix> MakePrefix(const TokensFile& file, const std::string& source,
                                           uint32_t index, uint32_t scales) {
  if (index >= file.images.size()) {
    return absl::InvalidArgumentError(absl::StrCat(source, ": no image ", index, ": it holds ",
                                                   file.images.size(), ", counted from 0"));
  }
  const std::vector<std::vector<uint32_t>>& held = file.images[index].scales;
  const size_t count = scales == 0 ? held.size() : scales;
  if (count > held.size() || held.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(source, ": image ", index, " holds ",
                                                   held.size(), " scales, too few to keep ",
                                                   std::max<size_t>(count, 1)));
  }
  v1::ScalePrefix prefix;
  for (size_t k = 0; k < count; ++k) {
    prefix.add_tokens()->mutable_tokens()->Add(held[k].begin(), held[k].end());
  }
  return prefix;
}

}  // namespace hmar
