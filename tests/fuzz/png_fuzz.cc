// Any bytes as an upload, from a corpus of PNGs; png_mutator.cc mends their checksums.

#include <cstddef>
#include <cstdint>

#include "tests/fuzz/picture_fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  hmar::RequirePictureOrError({reinterpret_cast<const char*>(data), size});
  return 0;
}
