#ifndef HMAR_MODEL_PICKLE_H_
#define HMAR_MODEL_PICKLE_H_

// Internal to model/: Python pickles as plain data.
//
// A pickle is a program for a stack machine, and in Python it may call anything. This machine calls
// nothing: it builds numbers, strings, tuples, lists and dicts, and leaves calls and persistent ids
// standing as data for the caller to interpret. Globals must be on the caller's list.

#include <cstddef>
#include <cstdint>
#include <deque>
#include <set>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"

namespace hmar {

struct PickleValue;

// Values refer to each other by pointer; all belong to one Pickle. They may form cycles, as
// Python's may: whoever walks them bounds his depth.
using PickleRef = PickleValue*;

struct PickleNone {};
struct PickleTuple {
  std::vector<PickleRef> items;
};
struct PickleList {
  std::vector<PickleRef> items;
};
struct PickleDict {  // dict, or collections.OrderedDict made without arguments.
  std::vector<std::pair<PickleRef, PickleRef>>
      items;  // As set; a later equal key is the valid one.
};
struct PickleGlobal {
  std::string name;  // "torch.FloatStorage"
};
struct PickleCall {  // REDUCE: the call that Python would make.
  std::string function;
  PickleRef arguments;  // A tuple.
};
struct PicklePersistentId {
  PickleRef id;
};

struct PickleValue {
  std::variant<PickleNone, bool, int64_t, double, std::string, PickleTuple, PickleList, PickleDict,
               PickleGlobal, PickleCall, PicklePersistentId>
      data;

  // The value as a T, or nullptr. Also for a null `value`, so that look-ups chain.
  template <typename T>
  static const T* As(const PickleValue* value) {
    return value == nullptr ? nullptr : std::get_if<T>(&value->data);
  }
};

// A pickle's values. Move-only.
struct Pickle {
  std::deque<PickleValue> values;  // Addresses are stable; destroyed one by one, at any nesting.
  PickleRef top = nullptr;
};

// A state dict of 10,000 tensors has 200,000. A value takes 56 bytes, and one byte can make it.
constexpr size_t kMaxPickleValues = 1 << 20;

// Runs a pickle of protocol 2 to 5. `globals` are the names allowed ("collections.OrderedDict").
// INVALID_ARGUMENT, with the byte where it stopped, for an opcode that data does not need, a global
// that is not allowed, a broken pickle, or one of more than kMaxPickleValues values. `bytes` may be
// anything: time and memory are bounded by a small multiple of its length, and by that many values.
absl::StatusOr<Pickle> ParsePickle(absl::Span<const uint8_t> bytes,
                                   const std::set<std::string>& globals);

}  // namespace hmar

#endif  // HMAR_MODEL_PICKLE_H_
