#include "server/calls/prepared_edit.h"

#include <new>
#include <utility>
#include <variant>

#include "model/digest.h"
#include "server/wire/status_details.h"

namespace hmar {
namespace {

absl::Status ToStatus(const Violation& violation, const std::string& field_prefix) {
  const std::string field = field_prefix + violation.field;
  if (RowOf(violation.reason).code != absl::StatusCode::kInvalidArgument) {
    return ErrorOf(violation.reason, field + ": " + violation.description);
  }
  return InvalidRequest({{violation.reason, field, violation.description}});
}

UploadRecord RecordOf(const EditUpload& upload) {
  UploadRecord record;
  record.image_sha256 = Sha256OfText(upload.image);
  record.resize = upload.resize;
  if (const auto* mask = std::get_if<GenerateMask>(&upload.region)) {
    record.mask_sha256 = Sha256OfText(mask->file);
    record.region = GenerateMask();
  } else {
    record.region = upload.region;
  }
  return record;
}

// What takes an edit through the scheduler, from its picture and region.
PreparedEdit Prepare(EditSource source, const EditChoice& choice, const ModelConfig& config) {
  PreparedEdit edit;
  edit.keep = std::make_shared<const std::vector<KeepMap>>(
      KeepMaps(KeepCells(source.region, config), config));
  if (choice.composite) edit.compositor = std::make_unique<Compositor>(source, choice.feather);
  auto picture = std::make_shared<EditPicture>();
  picture->digest = Sha256OfText({source.picture.rgb.begin(), source.picture.rgb.end()});
  picture->picture = std::move(source.picture);
  edit.picture = std::move(picture);
  return edit;
}

}  // namespace

absl::StatusOr<PreparedEdit> PrepareEdit(const EditUpload& upload, const EditChoice& choice,
                                         const ModelConfig& config, const UploadLimits& limits,
                                         const std::string& field_prefix, CancelCheck cancelled) {
  try {
    auto read = ReadEditSource(upload, static_cast<uint32_t>(config.image_size), limits, cancelled);
    if (const auto* violation = std::get_if<Violation>(&read)) {
      return ToStatus(*violation, field_prefix);
    }
    PreparedEdit edit = Prepare(std::get<EditSource>(std::move(read)), choice, config);
    edit.upload = RecordOf(upload);
    return edit;
  } catch (const std::bad_alloc&) {
    return ErrorOf(Reason::kOutOfMemory, field_prefix + "edit: no memory to prepare it");
  }
}

}  // namespace hmar
