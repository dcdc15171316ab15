#include "model/pickle.h"

#include <bit>
#include <map>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "model/byte_reader.h"
#include "model/checkpoint.h"
#include "model/pickle_opcodes.h"
#include "model/status_macros.h"

namespace hmar {
namespace {

absl::Status Broken(const std::string& what) { return absl::InvalidArgumentError(what); }

class Machine {
 public:
  Machine(absl::Span<const uint8_t> bytes, const std::set<std::string>& globals)
      : in_(bytes), globals_(globals) {}

  absl::StatusOr<Pickle> Run() {
    while (pickle_.top == nullptr) {
      const size_t position = in_.position();
      absl::Status status = Step(in_.Byte());
      // Past the end the bytes were made up: whatever else they led to is not the fault.
      if (in_.overrun()) status = Broken("the pickle ends early");
      if (!status.ok()) {
        return Broken(absl::StrCat(std::string(status.message()), ", at its byte ", position));
      }
    }
    return std::move(pickle_);
  }

 private:
  template <typename T>
  absl::Status Push(T data) {
    if (pickle_.values.size() == kMaxPickleValues) return TooMany("values");
    stack_.push_back(&pickle_.values.emplace_back(PickleValue{std::move(data)}));
    return absl::OkStatus();
  }

  static absl::Status TooMany(const char* what) {
    return Broken(absl::StrCat("the pickle has more than ", kMaxPickleValues, " ", what));
  }

  size_t Floor() const { return marks_.empty() ? 0 : marks_.back(); }

  // The value on top of what the innermost mark left open.
  absl::StatusOr<PickleRef> Pop() {
    if (stack_.size() <= Floor()) return Broken("the pickle's stack is empty");
    const PickleRef value = stack_.back();
    stack_.pop_back();
    return value;
  }

  absl::StatusOr<std::vector<PickleRef>> PopToMark() {
    if (marks_.empty()) return Broken("the pickle has no mark");
    std::vector<PickleRef> items(stack_.begin() + marks_.back(), stack_.end());
    stack_.resize(marks_.back());
    marks_.pop_back();
    return items;
  }

  absl::StatusOr<std::vector<PickleRef>> PopN(size_t count) {
    std::vector<PickleRef> items(count);
    for (size_t i = count; i-- > 0;) {
      HMAR_ASSIGN_OR_RETURN(items[i], Pop());
    }
    return items;
  }

  template <typename T>
  absl::StatusOr<T*> Top(const char* what) {
    T* const top = stack_.size() <= Floor() ? nullptr : std::get_if<T>(&stack_.back()->data);
    if (top == nullptr) return Broken(absl::StrCat("the pickle fills something that is no ", what));
    return top;
  }

  absl::Status Step(uint8_t opcode) {
    switch (opcode) {
      case kProto:
        return Protocol(in_.Byte());
      case kFrame:
        in_.Take(8);
        return absl::OkStatus();
      case kStop:
        return Stop();
      case kMark:
        marks_.push_back(stack_.size());
        return absl::OkStatus();
      case kPop:
        return Pop().status();
      case kMemoize:
        return Remember(static_cast<uint32_t>(memo_.size()));
      case kBinPut:
        return Remember(in_.Byte());
      case kLongBinPut:
        return Remember(static_cast<uint32_t>(in_.Unsigned(4)));
      case kBinGet:
        return Recall(in_.Byte());
      case kLongBinGet:
        return Recall(static_cast<uint32_t>(in_.Unsigned(4)));
      case kGlobal:
        return GlobalFromLines();
      case kStackGlobal:
        return GlobalFromStack();
      case kReduce:
        return Reduce();
      case kBuild:
        return Build();
      case kBinPersId:
        return PersistentId();
      default:
        return StepData(opcode);
    }
  }

  absl::Status StepData(uint8_t opcode) {
    switch (opcode) {
      case kNone:
        return Push(PickleNone{});
      case kNewTrue:
        return Push(true);
      case kNewFalse:
        return Push(false);
      case kBinInt:
        return Push(int64_t{static_cast<int32_t>(in_.Unsigned(4))});
      case kBinInt1:
        return Push(static_cast<int64_t>(in_.Unsigned(1)));
      case kBinInt2:
        return Push(static_cast<int64_t>(in_.Unsigned(2)));
      case kLong1:
        return Long(in_.Byte());
      case kBinFloat:
        // The one big-endian number of the format.
        return Push(std::bit_cast<double>(__builtin_bswap64(in_.Unsigned(8))));
      case kShortBinUnicode:
        return Push(in_.Text(in_.Byte()));
      case kBinUnicode:
        return Push(in_.Text(in_.Unsigned(4)));
      default:
        return StepContainer(opcode);
    }
  }

  absl::Status StepContainer(uint8_t opcode) {
    switch (opcode) {
      case kEmptyTuple:
        return Push(PickleTuple{});
      case kTuple1:
      case kTuple2:
      case kTuple3:
        return Tuple(PopN(opcode - kTuple1 + 1));
      case kTuple:
        return Tuple(PopToMark());
      case kEmptyList:
        return Push(PickleList{});
      case kAppend:
        return Append(PopN(1));
      case kAppends:
        return Append(PopToMark());
      case kEmptyDict:
        return Push(PickleDict{});
      case kSetItem:
        return SetItems(PopN(2));
      case kSetItems:
        return SetItems(PopToMark());
      default:
        return Broken(
            absl::StrCat("the pickle has opcode ", opcode, ", which no state dict needs"));
    }
  }

  absl::Status Protocol(uint8_t version) {
    if (version >= 2 && version <= 5) return absl::OkStatus();
    return Broken(absl::StrCat("the pickle has protocol ", version, "; 2 to 5 are known"));
  }

  absl::Status Stop() {
    HMAR_ASSIGN_OR_RETURN(const PickleRef top, Pop());
    if (!stack_.empty() || !marks_.empty()) return Broken("the pickle leaves values behind");
    pickle_.top = top;
    return absl::OkStatus();
  }

  absl::Status Remember(uint32_t index) {
    if (stack_.size() <= Floor()) return Broken("the pickle remembers nothing");
    memo_[index] = stack_.back();
    return memo_.size() > kMaxPickleValues ? TooMany("memos") : absl::OkStatus();
  }

  absl::Status Recall(uint32_t index) {
    const auto found = memo_.find(index);
    if (found == memo_.end()) {
      return Broken(absl::StrCat("the pickle recalls memo ", index, ", which it never set"));
    }
    stack_.push_back(found->second);
    return absl::OkStatus();
  }

  absl::Status Global(const std::string& module, const std::string& name) {
    const std::string global = absl::StrCat(module, ".", name);
    if (globals_.count(global) != 0) return Push(PickleGlobal{global});
    return Broken(absl::StrCat("the pickle wants ", QuotedName(global),
                               ", which is no part of plain tensors; pickled code is not run"));
  }

  absl::Status GlobalFromLines() {
    const std::string module = in_.Line();
    const std::string name = in_.Line();
    return in_.overrun() ? absl::OkStatus() : Global(module, name);
  }

  absl::Status GlobalFromStack() {
    HMAR_ASSIGN_OR_RETURN(const auto names, PopN(2));
    const auto* module = PickleValue::As<std::string>(names[0]);
    const auto* name = PickleValue::As<std::string>(names[1]);
    if (module == nullptr || name == nullptr) return Broken("the pickle's global has no name");
    return Global(*module, *name);
  }

  absl::Status Reduce() {
    HMAR_ASSIGN_OR_RETURN(const auto call, PopN(2));
    const auto* function = PickleValue::As<PickleGlobal>(call[0]);
    const auto* arguments = PickleValue::As<PickleTuple>(call[1]);
    if (function == nullptr || arguments == nullptr) return Broken("the pickle calls no function");
    if (function->name == "collections.OrderedDict" && arguments->items.empty()) {
      return Push(PickleDict{});
    }
    return Push(PickleCall{function->name, call[1]});
  }

  // Attributes of an object, such as the _metadata of a state dict: no tensor is among them.
  absl::Status Build() {
    HMAR_RETURN_IF_ERROR(Pop().status());
    return Top<PickleDict>("dict").status();
  }

  absl::Status PersistentId() {
    HMAR_ASSIGN_OR_RETURN(const PickleRef id, Pop());
    return Push(PicklePersistentId{id});
  }

  absl::Status Long(size_t size) {
    if (size > 8) return Broken(absl::StrCat("the pickle has an integer of ", size, " bytes"));
    uint64_t value = in_.Unsigned(size);
    const bool negative = size > 0 && size < 8 && (value >> (8 * size - 1)) != 0;
    if (negative) value |= ~uint64_t{0} << (8 * size);
    return Push(static_cast<int64_t>(value));
  }

  absl::Status Tuple(absl::StatusOr<std::vector<PickleRef>> items) {
    HMAR_RETURN_IF_ERROR(items.status());
    return Push(PickleTuple{*std::move(items)});
  }

  absl::Status Append(absl::StatusOr<std::vector<PickleRef>> items) {
    HMAR_RETURN_IF_ERROR(items.status());
    HMAR_ASSIGN_OR_RETURN(PickleList* const list, Top<PickleList>("list"));
    list->items.insert(list->items.end(), items->begin(), items->end());
    return absl::OkStatus();
  }

  absl::Status SetItems(absl::StatusOr<std::vector<PickleRef>> items) {
    HMAR_RETURN_IF_ERROR(items.status());
    if (items->size() % 2 != 0) return Broken("the pickle has a key without a value");
    HMAR_ASSIGN_OR_RETURN(PickleDict* const dict, Top<PickleDict>("dict"));
    for (size_t i = 0; i < items->size(); i += 2) {
      dict->items.emplace_back((*items)[i], (*items)[i + 1]);
    }
    return absl::OkStatus();
  }

  ByteReader in_;
  const std::set<std::string>& globals_;
  Pickle pickle_;
  std::vector<PickleRef> stack_;
  std::vector<size_t> marks_;  // Heights of the stack, innermost last.
  std::map<uint32_t, PickleRef> memo_;
};

}  // namespace

absl::StatusOr<Pickle> ParsePickle(absl::Span<const uint8_t> bytes,
                                   const std::set<std::string>& globals) {
  return Machine(bytes, globals).Run();
}

}  // namespace hmar
