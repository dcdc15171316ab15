#ifndef HMAR_CLIENT_PICTURE_NAMES_H_
#define HMAR_CLIENT_PICTURE_NAMES_H_

// The values of --format, and what files of them are called. Pure functions.

#include <string>

#include "hmar/v1/image_generation.pb.h"

namespace hmar {

// The API's word for a value of --format: png, jpeg, webp, rgb.
v1::OutputOptions::Format FormatOf(const std::string& format);

// What the names of a format's files end in: ".png" (of rgb, too), ".jpg", ".webp".
const char* ExtensionOf(const std::string& format);

// Which format a path's end asks for: png, jpeg (.jpg or .jpeg) or webp; empty: none of them.
std::string FormatOfName(const std::string& path);

}  // namespace hmar

#endif  // HMAR_CLIENT_PICTURE_NAMES_H_
