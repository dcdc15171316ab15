// `hmar generate`: a folder of images.

#include <filesystem>

#include "absl/strings/str_cat.h"
#include "client/commands.h"
#include "client/generate_request.h"
#include "client/run_request.h"

namespace hmar {

ExitCode RunGenerate(const GenerateCommand& command, Client& client, Canceller& canceller) {
  const std::filesystem::path folder = command.out;
  const AnswerFiles files{
      .stem = [&](uint64_t seed) { return (folder / absl::StrCat("image-", seed)).string(); },
      .writes_previews = true,
      .sheet = folder / "sheet.png",
      .folders = {folder},
      .row_opening = nullptr};
  return RunRequest(command, files, MakeGenerateRequest(command), client, canceller);
}

}  // namespace hmar
