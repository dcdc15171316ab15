#ifndef HMAR_SERVER_REQUEST_H_
#define HMAR_SERVER_REQUEST_H_

// A request after validation: everything resolved, nothing left to check, no proto.

#include <cstdint>
#include <optional>
#include <string>

#include "model/engine.h"
#include "server/edit_source.h"

namespace hmar {

enum class PictureFormat { kPng, kRgb8 };

struct OutputChoice {
  PictureFormat format = PictureFormat::kPng;
  int png_compression = 0;  // 0 .. 9
  bool return_tokens = false;
  bool receipt_in_png = false;
};

// An edit, as far as its call's thread can tell.
struct EditChoice {
  EditUpload upload;
  bool composite = true;
  uint32_t feather = 0;  // Pixels of the model's image; at most its side.
};

struct ResolvedRequest {
  std::string id;       // At most 128 bytes of printable UTF-8; the client's or one of ours.
  size_t model = 0;     // Index in the catalog.
  uint32_t images = 1;  // 1 .. the server's limit.
  ImageTask prototype;  // Image i has seed prototype.seed + i (modulo 2^64).
  OutputChoice output;
  std::optional<EditChoice> edit;
  int priority = 0;  // -10 .. 10
  bool validate_only = false;
  std::string field_prefix;  // Of what is found wrong later.
};

}  // namespace hmar

#endif  // HMAR_SERVER_REQUEST_H_
