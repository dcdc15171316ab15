#include "client/picture_names.h"

#include <filesystem>

namespace hmar {

v1::OutputOptions::Format FormatOf(const std::string& format) {
  if (format == "rgb") return v1::OutputOptions::FORMAT_RGB8;
  if (format == "jpeg") return v1::OutputOptions::FORMAT_JPEG;
  if (format == "webp") return v1::OutputOptions::FORMAT_WEBP;
  return v1::OutputOptions::FORMAT_PNG;
}

const char* ExtensionOf(const std::string& format) {
  if (format == "jpeg") return ".jpg";
  return format == "webp" ? ".webp" : ".png";
}

std::string FormatOfName(const std::string& path) {
  const std::string end = std::filesystem::path(path).extension();
  if (end == ".png") return "png";
  if (end == ".jpg" || end == ".jpeg") return "jpeg";
  return end == ".webp" ? "webp" : "";
}

}  // namespace hmar
