#ifndef HMAR_TESTS_FUZZ_PICTURE_FUZZ_H_
#define HMAR_TESTS_FUZZ_PICTURE_FUZZ_H_

#include "absl/strings/string_view.h"

namespace hmar {

// Any bytes as an upload: a reader answers with a whole picture or with an error, the same each
// time, and no more than the header said is taken. Ends the program where that does not hold.
void RequirePictureOrError(absl::string_view file);

}  // namespace hmar

#endif  // HMAR_TESTS_FUZZ_PICTURE_FUZZ_H_
