#ifndef HMAR_TESTS_FAKES_ENGINE_LIES_H_
#define HMAR_TESTS_FAKES_ENGINE_LIES_H_

#include "model/engine.h"

namespace hmar {

// What an engine can get wrong in a report: each breaks a promise of model/engine.h.
enum class EngineLie {
  kStrangers,            // A pass, preview, picture and failure of images it does not hold.
  kNoPass,               // Nothing of a pass that was run.
  kPassTwice,            // The same pass again.
  kPassOfAnotherScale,   // One scale further.
  kPassOfOtherRows,      // A row more.
  kPassNotTheLast,       // The last one is said not to be.
  kPreviewNotAskedFor,   // Of the first scale.
  kPreviewOfOtherSize,   // Those that were asked for, without pixels.
  kPictureTooEarly,      // One after the first pass, already.
  kPictureTwice,         //
  kPictureOfOtherSize,   // A row too few, in its size and in its bytes.
  kPictureOfOtherBytes,  // A byte too few.
  kTokensMissing,        // No map of the last scale.
  kTokensOutside,        // Of the codebook.
  kNoPicture,            // It never comes.
  kFailureWithoutError,  // A failure that is OK.
  kFailureTwice,         //
};

inline constexpr EngineLie kAllEngineLies[] = {
    EngineLie::kStrangers,          EngineLie::kNoPass,
    EngineLie::kPassTwice,          EngineLie::kPassOfAnotherScale,
    EngineLie::kPassOfOtherRows,    EngineLie::kPassNotTheLast,
    EngineLie::kPreviewNotAskedFor, EngineLie::kPreviewOfOtherSize,
    EngineLie::kPictureTooEarly,    EngineLie::kPictureTwice,
    EngineLie::kPictureOfOtherSize, EngineLie::kPictureOfOtherBytes,
    EngineLie::kTokensMissing,      EngineLie::kTokensOutside,
    EngineLie::kNoPicture,          EngineLie::kFailureWithoutError,
    EngineLie::kFailureTwice};

// Puts the lie about image `id` into a report, where the report gives occasion for it.
void Tell(EngineLie lie, ImageId id, StepReport* report);

}  // namespace hmar

#endif  // HMAR_TESTS_FAKES_ENGINE_LIES_H_
