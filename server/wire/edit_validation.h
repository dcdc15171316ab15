#ifndef HMAR_SERVER_WIRE_EDIT_VALIDATION_H_
#define HMAR_SERVER_WIRE_EDIT_VALIDATION_H_

#include <optional>

#include "hmar/v1/image_generation.pb.h"
#include "model/config.h"
#include "server/uploads/upload_limits.h"
#include "server/wire/request.h"
#include "server/wire/violations.h"

namespace hmar {

// Resolves an edit as far as the headers of its files tell; their data is read later, off the
// call's thread (prepared_edit.h). Copies the uploads. Adds every broken rule.
EditChoice ResolveEdit(const v1::EditOptions& given, const ModelConfig& config,
                       const UploadLimits& limits, Violations* violations);

}  // namespace hmar

#endif  // HMAR_SERVER_WIRE_EDIT_VALIDATION_H_
