#include "model/imagenet_classes.h"

#include <utility>

#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"

namespace hmar {
namespace {

// "n02510455 giant panda, panda, ...": no lemma has a comma in it.
constexpr absl::string_view kTable =
#include "model/imagenet_classes.inc"
    ;

}  // namespace

ImageNetClasses ReadImageNetClasses() {
  ImageNetClasses classes;
  for (const absl::string_view line : absl::StrSplit(kTable, '\n', absl::SkipEmpty())) {
    const std::pair<absl::string_view, absl::string_view> parts =
        absl::StrSplit(line, absl::MaxSplits(' ', 1));
    std::vector<std::string> lemmas = absl::StrSplit(parts.second, ", ");
    classes.names.push_back(std::move(lemmas.front()));
    lemmas.erase(lemmas.begin());
    lemmas.emplace_back(parts.first);
    classes.aliases.push_back(std::move(lemmas));
  }
  return classes;
}

}  // namespace hmar
