#ifndef HMAR_MODEL_STATE_DICT_H_
#define HMAR_MODEL_STATE_DICT_H_

// Internal to model/: what the pickle of a torch.save file says about its tensors.

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "model/checkpoint.h"

namespace hmar {

// A tensor as a view of a storage. Counts are in elements. The view lies inside the storage.
struct StoredTensor {
  TensorInfo info;
  std::vector<int64_t> strides;  // As long as the shape; none is negative.
  int64_t offset = 0;            // Of the first element.
  std::string storage_key;       // The storage is the archive's data/KEY.
  int64_t storage_elements = 0;

  int64_t span() const;        // From the first element to the last, both included; 0: empty.
  bool is_contiguous() const;  // Row-major without gaps.
};

// Reads a state dict's pickle: a dict of tensors, or a dict with such a one under just one of the
// keys "model", "module" and "state_dict". INVALID_ARGUMENT, without the file's name, for anything
// else, for a view that leaves its storage, repeats elements of it or uses less than a 16th of what
// it spans, and for whatever ParsePickle refuses.
absl::StatusOr<std::map<std::string, StoredTensor>> ReadStateDict(absl::Span<const uint8_t> pickle);

}  // namespace hmar

#endif  // HMAR_MODEL_STATE_DICT_H_
