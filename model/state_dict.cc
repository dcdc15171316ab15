#include "model/state_dict.h"

#include <optional>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "model/pickle.h"
#include "model/status_macros.h"

namespace hmar {
namespace {

constexpr char kRebuildTensor[] = "torch._utils._rebuild_tensor_v2";
constexpr char kRebuildParameter[] = "torch._utils._rebuild_parameter";

constexpr size_t kMaxKeyBytes = 64;  // torch.save counts: "0", "1", ...

struct StorageRow {
  const char* global;
  DType dtype;
};

constexpr StorageRow kStorages[] = {
    {"torch.FloatStorage", DType::kFloat32},     {"torch.HalfStorage", DType::kFloat16},
    {"torch.BFloat16Storage", DType::kBFloat16}, {"torch.DoubleStorage", DType::kFloat64},
    {"torch.LongStorage", DType::kInt64},        {"torch.IntStorage", DType::kInt32},
    {"torch.ShortStorage", DType::kInt16},       {"torch.CharStorage", DType::kInt8},
    {"torch.ByteStorage", DType::kUInt8},        {"torch.BoolStorage", DType::kBool},
};

std::set<std::string> Globals() {
  std::set<std::string> globals = {"collections.OrderedDict", kRebuildTensor, kRebuildParameter};
  for (const StorageRow& row : kStorages) globals.insert(row.global);
  return globals;
}

absl::Status Bad(const std::string& what) { return absl::InvalidArgumentError(what); }

// Item `index` of a tuple, as a T; nullptr if there is none such.
template <typename T>
const T* Item(const PickleTuple& tuple, size_t index) {
  return index < tuple.items.size() ? PickleValue::As<T>(tuple.items[index]) : nullptr;
}

// A shape, or strides. A tuple may be of any length and serve many tensors.
std::optional<std::vector<int64_t>> Integers(const PickleTuple* tuple) {
  if (tuple == nullptr || tuple->items.size() > kMaxDims) return std::nullopt;
  std::vector<int64_t> values;
  for (size_t i = 0; i < tuple->items.size(); ++i) {
    const int64_t* const value = Item<int64_t>(*tuple, i);
    if (value == nullptr) return std::nullopt;
    values.push_back(*value);
  }
  return values;
}

// From ("storage", torch.FloatStorage, "KEY", "cpu", elements).
absl::Status ReadStorage(const PicklePersistentId* id, StoredTensor* tensor) {
  const auto* tuple = id == nullptr ? nullptr : PickleValue::As<PickleTuple>(id->id);
  if (tuple == nullptr) return Bad("has no storage");
  const auto* type = Item<PickleGlobal>(*tuple, 1);
  const auto* key = Item<std::string>(*tuple, 2);
  const auto* elements = Item<int64_t>(*tuple, 4);
  if (type == nullptr || key == nullptr || elements == nullptr) return Bad("has no storage");
  // Each tensor of a storage keeps the key.
  if (key->size() > kMaxKeyBytes) {
    return Bad(
        absl::StrCat("has a storage key of ", key->size(), " bytes; at most ", kMaxKeyBytes));
  }
  for (const StorageRow& row : kStorages) {
    if (type->name != row.global) continue;
    tensor->info.dtype = row.dtype;
    tensor->storage_key = *key;
    tensor->storage_elements = *elements;
    if (CheckedElements(row.dtype, {*elements})) return absl::OkStatus();
    return Bad(absl::StrCat("has a storage of ", *elements, " elements"));
  }
  return Bad(absl::StrCat("has a storage of type ", QuotedName(type->name)));
}

// The view's span, or nothing if it is no sane view at all.
std::optional<int64_t> CheckedSpan(const StoredTensor& tensor) {
  const std::vector<int64_t>& shape = tensor.info.shape;
  if (tensor.strides.size() != shape.size()) return std::nullopt;
  int64_t last = 0;
  for (size_t i = 0; i < shape.size(); ++i) {
    int64_t reach = 0;
    if (tensor.strides[i] < 0 || shape[i] < 0) return std::nullopt;
    if (shape[i] < 2) continue;
    if (__builtin_mul_overflow(shape[i] - 1, tensor.strides[i], &reach)) return std::nullopt;
    if (__builtin_add_overflow(last, reach, &last)) return std::nullopt;
  }
  if (last == INT64_MAX) return std::nullopt;
  return last + 1;
}

absl::Status CheckView(const StoredTensor& tensor) {
  constexpr int64_t kMaxSpread = 16;
  const std::string view =
      absl::StrCat("has shape ", ShapeText(tensor.info.shape), ", strides ",
                   ShapeText(tensor.strides), " and offset ", tensor.offset, "; ");
  const auto elements = CheckedElements(tensor.info.dtype, tensor.info.shape);
  const auto span = CheckedSpan(tensor);
  if (!elements || !span || tensor.offset < 0) return Bad(view + "which is impossible");
  if (*elements == 0) return absl::OkStatus();
  if (*span > tensor.storage_elements || tensor.offset > tensor.storage_elements - *span) {
    return Bad(absl::StrCat(view, "its storage has ", tensor.storage_elements, " elements"));
  }
  if (*elements > *span) return Bad(view + "expanded tensors must be saved contiguous");
  if (*span / kMaxSpread > *elements) return Bad(view + "sparse views must be saved contiguous");
  return absl::OkStatus();
}

// A tensor, or the parameter around one. Null if the value is neither.
const PickleTuple* RebuildArguments(const PickleValue* value) {
  const auto* call = PickleValue::As<PickleCall>(value);
  if (call != nullptr && call->function == kRebuildParameter) {
    const auto* arguments = PickleValue::As<PickleTuple>(call->arguments);
    if (arguments == nullptr || arguments->items.empty()) return nullptr;
    call = PickleValue::As<PickleCall>(arguments->items[0]);
  }
  if (call == nullptr || call->function != kRebuildTensor) return nullptr;
  return PickleValue::As<PickleTuple>(call->arguments);
}

// From _rebuild_tensor_v2(storage, offset, shape, strides, requires_grad, hooks).
absl::StatusOr<StoredTensor> ReadTensor(const PickleTuple& arguments) {
  StoredTensor tensor;
  const int64_t* const offset = Item<int64_t>(arguments, 1);
  auto shape = Integers(Item<PickleTuple>(arguments, 2));
  auto strides = Integers(Item<PickleTuple>(arguments, 3));
  if (offset == nullptr || !shape || !strides) {
    return Bad(absl::StrCat("has no offset, shape and strides of at most ", kMaxDims, " numbers"));
  }
  HMAR_RETURN_IF_ERROR(ReadStorage(Item<PicklePersistentId>(arguments, 0), &tensor));
  tensor.offset = *offset;
  tensor.info.shape = *std::move(shape);
  tensor.strides = *std::move(strides);
  HMAR_RETURN_IF_ERROR(CheckView(tensor));
  return tensor;
}

// The first entry that is no tensor, in words; nothing if all are.
std::optional<std::string> OddEntry(const PickleDict& dict) {
  if (dict.items.empty()) return "it is empty";
  for (const auto& [key, value] : dict.items) {
    if (RebuildArguments(value) != nullptr) continue;
    const auto* name = PickleValue::As<std::string>(key);
    return "its entry " + QuotedName(name == nullptr ? "?" : *name) + " is none";
  }
  return std::nullopt;
}

// The dict under `name`; of several the last, as in Python. Null if there is none.
const PickleDict* InnerDict(const PickleDict& dict, absl::string_view name) {
  for (auto item = dict.items.rbegin(); item != dict.items.rend(); ++item) {
    const auto* key = PickleValue::As<std::string>(item->first);
    if (key != nullptr && *key == name) return PickleValue::As<PickleDict>(item->second);
  }
  return nullptr;
}

// The dict itself, or the one that stands under a usual name in it.
absl::StatusOr<const PickleDict*> FindStateDict(const PickleValue* top) {
  const auto* dict = PickleValue::As<PickleDict>(top);
  if (dict == nullptr) return Bad("holds no dict of tensors");
  const std::optional<std::string> odd = OddEntry(*dict);
  if (!odd) return dict;
  std::vector<const PickleDict*> found;
  for (const char* const name : {"model", "module", "state_dict"}) {
    const PickleDict* const inner = InnerDict(*dict, name);
    if (inner != nullptr && !OddEntry(*inner)) found.push_back(inner);
  }
  if (found.size() == 1) return found.front();
  return Bad(absl::StrCat("holds no dict of tensors (", *odd,
                          "), nor one under just one of \"model\", \"module\", \"state_dict\""));
}

}  // namespace

int64_t StoredTensor::span() const { return info.elements() == 0 ? 0 : *CheckedSpan(*this); }

bool StoredTensor::is_contiguous() const {
  int64_t step = 1;
  for (size_t i = info.shape.size(); i-- > 0;) {
    if (info.shape[i] != 1 && strides[i] != step) return false;
    step *= info.shape[i];
  }
  return true;
}

absl::StatusOr<std::map<std::string, StoredTensor>> ReadStateDict(absl::Span<const uint8_t> bytes) {
  HMAR_ASSIGN_OR_RETURN(const Pickle pickle, ParsePickle(bytes, Globals()));
  HMAR_ASSIGN_OR_RETURN(const PickleDict* const dict, FindStateDict(pickle.top));
  std::map<std::string, StoredTensor> tensors;
  for (const auto& [key, value] : dict->items) {
    const auto* name = PickleValue::As<std::string>(key);
    if (name == nullptr) return Bad("holds a tensor whose name is no string");
    auto tensor = ReadTensor(*RebuildArguments(value));
    if (!tensor.ok()) {
      return Bad(
          absl::StrCat("tensor ", QuotedName(*name), " ", std::string(tensor.status().message())));
    }
    if (!tensors.emplace(*name, *std::move(tensor)).second) {
      return Bad(absl::StrCat("tensor ", QuotedName(*name), " is there twice"));
    }
  }
  return tensors;
}

}  // namespace hmar
