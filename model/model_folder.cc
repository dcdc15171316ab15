#include "model/model_folder.h"

#include <algorithm>
#include <filesystem>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "model/digest.h"
#include "model/mapped_file.h"
#include "model/status_macros.h"
#include "model/tensor_table.h"

namespace hmar {
namespace {

namespace fs = std::filesystem;

// A weight file's names: `name` itself, or else anything that starts with one of `prefixes`.
struct WeightNames {
  std::string name;
  std::vector<std::string> prefixes;
};

absl::StatusOr<std::vector<std::string>> ListFolder(const std::string& path) {
  std::error_code error;
  std::vector<std::string> names;
  for (fs::directory_iterator it(path, error), end; !error && it != end; it.increment(error)) {
    names.push_back(it->path().filename().string());
  }
  if (error) return absl::ErrnoToStatus(error.value(), absl::StrCat("model folder ", path));
  std::sort(names.begin(), names.end());
  return names;
}

std::vector<std::string> Matching(const std::vector<std::string>& files, const WeightNames& wanted,
                                  const std::string& ending) {
  std::vector<std::string> found;
  for (const std::string& file : files) {
    const bool starts = std::any_of(wanted.prefixes.begin(), wanted.prefixes.end(),
                                    [&](const auto& p) { return absl::StartsWith(file, p); });
    if (starts && absl::EndsWith(file, ending)) found.push_back(file);
  }
  return found;
}

// `files` are sorted.
absl::StatusOr<std::string> FindWeights(const std::string& folder,
                                        const std::vector<std::string>& files,
                                        const WeightNames& wanted) {
  for (const std::string ending : {".safetensors", ".pth"}) {
    const std::string exact = wanted.name + ending;
    if (std::binary_search(files.begin(), files.end(), exact)) {
      return (fs::path(folder) / exact).string();
    }
  }
  for (const std::string ending : {".safetensors", ".pth"}) {
    const std::vector<std::string> found = Matching(files, wanted, ending);
    if (found.size() == 1) return (fs::path(folder) / found.front()).string();
    if (!found.empty()) {
      return absl::InvalidArgumentError(
          absl::StrCat("model folder ", folder, ": ", absl::StrJoin(found, ", "), " could each be ",
                       wanted.name, ending, "; keep one, or name it so"));
    }
  }
  return absl::NotFoundError(absl::StrCat("model folder ", folder, ": has no ", wanted.name,
                                          ".safetensors or ", wanted.name, ".pth (nor ",
                                          absl::StrJoin(wanted.prefixes, "*, "), "*)"));
}

// Fills in the configuration; returns the digest's line for it.
absl::StatusOr<std::string> ReadConfig(const std::string& folder,
                                       const std::vector<std::string>& files,
                                       const std::string& architecture, ModelConfig* config) {
  if (std::binary_search(files.begin(), files.end(), "config.json")) {
    const std::string path = (fs::path(folder) / "config.json").string();
    HMAR_ASSIGN_OR_RETURN(const auto file, MappedFile::Open(path));
    const absl::string_view text(reinterpret_cast<const char*>(file->bytes().data()),
                                 file->bytes().size());
    HMAR_ASSIGN_OR_RETURN(*config, ParseModelConfig(text, path));
    return absl::StrCat("config ", Sha256OfText(std::string(text)), "\n");
  }
  if (architecture.empty()) {
    return absl::NotFoundError(
        absl::StrCat("model folder ", folder,
                     ": has no config.json; for a released model pass its --architecture"));
  }
  HMAR_ASSIGN_OR_RETURN(*config, OfficialArchitecture(architecture));
  return absl::StrCat("architecture ", architecture, "\n");
}

// The digest's line for a weight file.
absl::StatusOr<std::string> DigestLine(const char* what, const Checkpoint& checkpoint) {
  const auto sha = checkpoint.Sha256();
  if (sha.ok()) return absl::StrCat(what, " ", *sha, "\n");
  return absl::Status(sha.status().code(),
                      absl::StrCat(checkpoint.path(), ": ", std::string(sha.status().message())));
}

}  // namespace

absl::StatusOr<ModelFolder> OpenModelFolder(const std::string& path,
                                            const std::string& architecture) {
  ModelFolder model;
  HMAR_ASSIGN_OR_RETURN(const auto files, ListFolder(path));
  HMAR_ASSIGN_OR_RETURN(const std::string config_line,
                        ReadConfig(path, files, architecture, &model.config));
  HMAR_ASSIGN_OR_RETURN(const std::string transformer_path,
                        FindWeights(path, files, {"hmar", {"hmar-", "hmar_"}}));
  HMAR_ASSIGN_OR_RETURN(const std::string tokenizer_path,
                        FindWeights(path, files, {"vqvae", {"vqvae", "vae"}}));
  HMAR_ASSIGN_OR_RETURN(model.transformer, OpenCheckpoint(transformer_path));
  HMAR_ASSIGN_OR_RETURN(model.tokenizer, OpenCheckpoint(tokenizer_path));

  const TensorTable transformer = TransformerTable(model.config);
  const TensorTable tokenizer = TokenizerTable(model.config, *model.tokenizer);
  HMAR_RETURN_IF_ERROR(CheckTensors(*model.transformer, transformer));
  HMAR_RETURN_IF_ERROR(CheckTensors(*model.tokenizer, tokenizer));
  model.parameters = CountParameters(transformer) + CountParameters(tokenizer);

  HMAR_ASSIGN_OR_RETURN(const std::string transformer_line,
                        DigestLine("transformer", *model.transformer));
  HMAR_ASSIGN_OR_RETURN(const std::string tokenizer_line,
                        DigestLine("tokenizer", *model.tokenizer));
  model.digest = Sha256OfText(absl::StrCat(config_line, transformer_line, tokenizer_line));
  return model;
}

}  // namespace hmar
