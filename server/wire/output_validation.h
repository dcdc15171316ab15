#ifndef HMAR_SERVER_WIRE_OUTPUT_VALIDATION_H_
#define HMAR_SERVER_WIRE_OUTPUT_VALIDATION_H_

#include "hmar/v1/image_generation.pb.h"
#include "server/wire/request.h"
#include "server/wire/violations.h"

namespace hmar {

// Of lossy pictures whose request does not say.
inline constexpr int kDefaultQuality = 85;

// Resolves how pictures travel. `png_compression` is of requests that do not say. Adds every broken
// rule: a number out of its range, an option of another format.
OutputChoice ResolveOutput(const v1::OutputOptions& given, int png_compression,
                           Violations* violations);

}  // namespace hmar

#endif  // HMAR_SERVER_WIRE_OUTPUT_VALIDATION_H_
