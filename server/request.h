#ifndef HMAR_SERVER_REQUEST_H_
#define HMAR_SERVER_REQUEST_H_

// A request after validation: everything resolved, nothing left to check, no proto.

#include <cstdint>
#include <string>

#include "model/engine.h"

namespace hmar {

enum class PictureFormat { kPng, kRgb8 };

struct OutputChoice {
  PictureFormat format = PictureFormat::kPng;
  int png_compression = 0;  // 0 .. 9
  bool return_tokens = false;
  bool receipt_in_png = false;
};

struct ResolvedRequest {
  std::string id;       // At most 128 bytes of printable UTF-8; the client's or one of ours.
  size_t model = 0;     // Index in the catalog.
  uint32_t images = 1;  // 1 .. the server's limit.
  ImageTask prototype;  // Image i has seed prototype.seed + i (modulo 2^64).
  OutputChoice output;
  int priority = 0;  // -10 .. 10
  bool validate_only = false;
};

}  // namespace hmar

#endif  // HMAR_SERVER_REQUEST_H_
