// `hmar edit`: one file, or one a variation, and a page that shows how it came about.

#include <filesystem>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/commands.h"
#include "client/edit_request.h"
#include "client/edit_sheet.h"
#include "client/run_request.h"
#include "model/status_macros.h"

namespace hmar {
namespace {

std::string Folder(const std::string& path) { return std::filesystem::path(path).parent_path(); }

// Source and region. The upload is decoded once, when the first image shows its size: by then the
// server has found nothing wrong with it.
class RowOpening {
 public:
  explicit RowOpening(const v1::EditOptions& edit) : edit_(edit) {}

  absl::StatusOr<std::vector<Picture>> operator()(const v1::Image& image, const Picture& pixels) {
    if (!upload_) {
      HMAR_ASSIGN_OR_RETURN(upload_, FitUpload(edit_, pixels.width, pixels.height));
    }
    HMAR_ASSIGN_OR_RETURN(Picture marked, MarkRegion(*upload_, image.generated_tokens()));
    return std::vector<Picture>{upload_->source, std::move(marked)};
  }

 private:
  const v1::EditOptions& edit_;
  std::optional<FittedUpload> upload_;
};

}  // namespace

ExitCode RunEdit(const EditCommand& command, Client& client, Canceller& canceller,
                 Terminal& terminal) {
  EditCommand asked = command;
  asked.previews = PreviewsOf(command, terminal);
  const absl::StatusOr<v1::GenerateRequest> request = MakeEditRequest(asked);
  const std::string out =
      command.out.empty() ? absl::StrCat(kDefaultOut, "/edit.png") : command.out;
  const std::string name = std::filesystem::path(out).replace_extension();
  const bool with_seed = command.out.empty() || command.count > 1;
  AnswerFiles files{
      .stem = [&](uint64_t seed) { return with_seed ? absl::StrCat(name, "-", seed) : name; },
      .writes_previews = command.write_previews,
      .sheet_previews = command.previews != "none",
      .sheet = command.sheet,
      .folders = {command.validate_only ? "" : Folder(out), Folder(command.sheet)},
      .row_opening = nullptr};
  if (request.ok()) files.row_opening = RowOpening(request->edit());
  return RunRequest(asked, files, request, client, canceller, terminal);
}

}  // namespace hmar
