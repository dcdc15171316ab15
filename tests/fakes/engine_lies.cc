#include "tests/fakes/engine_lies.h"

#include <algorithm>

namespace hmar {
namespace {

// The image's entry, if there is one; of several the first.
template <typename Entry>
Entry* EntryOf(ImageId id, std::vector<Entry>* entries) {
  const auto found = std::find_if(entries->begin(), entries->end(),
                                  [id](const Entry& entry) { return entry.id == id; });
  return found == entries->end() ? nullptr : &*found;
}

template <typename Entry>
void Repeat(ImageId id, std::vector<Entry>* entries) {
  if (const Entry* entry = EntryOf(id, entries)) entries->push_back(Entry(*entry));
}

template <typename Entry>
void Omit(ImageId id, std::vector<Entry>* entries) {
  std::erase_if(*entries, [id](const Entry& entry) { return entry.id == id; });
}

void TellOfPass(EngineLie lie, PassReport* pass) {
  if (lie == EngineLie::kPassOfAnotherScale) ++pass->scale;
  if (lie == EngineLie::kPassOfOtherRows) ++pass->rows;
  if (lie == EngineLie::kPassNotTheLast) pass->last = false;
}

void TellOfPicture(EngineLie lie, ImageReport* image) {
  Picture& picture = image->picture;
  if (lie == EngineLie::kPictureOfOtherSize) {
    picture.rgb.resize(picture.rgb.size() - size_t{3} * picture.width);
    --picture.height;
  }
  if (lie == EngineLie::kPictureOfOtherBytes) picture.rgb.pop_back();
  if (lie == EngineLie::kTokensMissing) image->tokens.pop_back();
  if (lie == EngineLie::kTokensOutside) image->tokens.back().back() = 1 << 20;
}

void TellOfStrangers(ImageId id, StepReport* report) {
  const ImageId stranger = id + 1'000'000;
  report->passes.push_back({stranger, 0, 0, 1, true, false});
  report->previews.push_back({stranger, 0, {}});
  report->images.push_back({stranger, {}, {}});
  report->failures.push_back({stranger, absl::InternalError("of nobody")});
}

}  // namespace

void Tell(EngineLie lie, ImageId id, StepReport* report) {
  if (PassReport* pass = EntryOf(id, &report->passes)) {
    TellOfPass(lie, pass);
    if (lie == EngineLie::kPictureTooEarly) report->images.push_back({id, {}, {}});
    if (lie == EngineLie::kPreviewNotAskedFor) report->previews.push_back({id, 0, {}});
    if (lie == EngineLie::kFailureWithoutError) report->failures.push_back({id, absl::OkStatus()});
    if (lie == EngineLie::kFailureTwice) {
      for (int i = 0; i < 2; ++i) report->failures.push_back({id, absl::InternalError("failed")});
    }
  }
  if (ImageReport* image = EntryOf(id, &report->images)) TellOfPicture(lie, image);
  if (lie == EngineLie::kStrangers) TellOfStrangers(id, report);
  if (lie == EngineLie::kNoPass) Omit(id, &report->passes);
  if (lie == EngineLie::kPassTwice) Repeat(id, &report->passes);
  if (lie == EngineLie::kPictureTwice) Repeat(id, &report->images);
  if (lie == EngineLie::kNoPicture) Omit(id, &report->images);
  for (PreviewReport& preview : report->previews) {
    if (lie == EngineLie::kPreviewOfOtherSize && preview.id == id) preview.picture = {};
  }
}

}  // namespace hmar
