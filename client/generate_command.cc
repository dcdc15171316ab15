// `hmar generate`: a folder of images.

#include <filesystem>

#include "absl/strings/str_cat.h"
#include "client/commands.h"
#include "client/generate_request.h"
#include "client/run_request.h"

namespace hmar {

ExitCode RunGenerate(const GenerateCommand& command, Client& client, Canceller& canceller,
                     Terminal& terminal) {
  const std::filesystem::path folder = command.out;
  const AnswerFiles files{
      .stem = [&](uint64_t seed) { return (folder / absl::StrCat("image-", seed)).string(); },
      .writes_previews = command.write_previews,
      .sheet_previews = command.write_previews,
      .sheet = folder / "sheet.png",
      .folders = {command.validate_only ? "" : folder},
      .row_opening = nullptr};
  GenerateCommand asked = command;
  asked.previews = PreviewsOf(command, terminal);
  return RunRequest(asked, files, MakeGenerateRequest(asked), client, canceller, terminal);
}

}  // namespace hmar
