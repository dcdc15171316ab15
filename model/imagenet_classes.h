#ifndef HMAR_MODEL_IMAGENET_CLASSES_H_
#define HMAR_MODEL_IMAGENET_CLASSES_H_

// What the 1,000 classes of ImageNet-1k (ILSVRC-2012) are called.

#include <string>
#include <vector>

namespace hmar {

// By class id, which is the order of the WordNet ids: a class is a WordNet 3.0 synset.
struct ImageNetClasses {
  std::vector<std::string> names;                 // Unique, whatever the case of their letters.
  std::vector<std::vector<std::string>> aliases;  // The synset's other lemmas, then its WordNet id.
};

// The table of imagenet_classes.inc. Safe from any thread.
ImageNetClasses ReadImageNetClasses();

}  // namespace hmar

#endif  // HMAR_MODEL_IMAGENET_CLASSES_H_
