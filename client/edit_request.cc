#include "client/edit_request.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "client/edit_options.h"
#include "client/files.h"
#include "client/generate_request.h"
#include "model/status_macros.h"

namespace hmar {
namespace {

absl::StatusOr<std::string> ReadUpload(const std::string& flag, const std::string& path) {
  absl::StatusOr<std::string> bytes = ReadFile(path, kMaxUploadBytes);
  if (bytes.ok() && bytes->empty()) {
    bytes = absl::InvalidArgumentError(absl::StrCat("'", path, "' is empty: 0 bytes"));
  }
  if (bytes.ok()) return bytes;
  return absl::Status(bytes.status().code(),
                      absl::StrCat(flag, ": ", std::string(bytes.status().message())));
}

absl::StatusOr<v1::EditOptions> MakeRegion(const EditCommand& command, std::string image) {
  if (command.box) return RegenerateBox(std::move(image), *command.box);
  if (command.keep_box) return KeepOnlyBox(std::move(image), *command.keep_box);
  if (command.mask.empty()) return FillBars(std::move(image));
  HMAR_ASSIGN_OR_RETURN(std::string mask, ReadUpload("--mask", command.mask));
  return RegenerateMask(std::move(image), std::move(mask));
}

}  // namespace

absl::StatusOr<v1::GenerateRequest> MakeEditRequest(const EditCommand& command) {
  HMAR_ASSIGN_OR_RETURN(v1::GenerateRequest request, MakeGenerateRequest(command));
  HMAR_ASSIGN_OR_RETURN(std::string image, ReadUpload("--image", command.image));
  HMAR_ASSIGN_OR_RETURN(*request.mutable_edit(), MakeRegion(command, std::move(image)));
  v1::EditOptions& edit = *request.mutable_edit();
  if (command.resize == "cover") edit.set_resize(v1::EditOptions::RESIZE_COVER);
  if (command.resize == "contain") edit.set_resize(v1::EditOptions::RESIZE_CONTAIN);
  edit.set_feather(command.feather);
  if (!command.composite) edit.set_composite(false);
  return request;
}

}  // namespace hmar
