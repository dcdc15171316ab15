#include "model/safetensors_header.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "model/status_macros.h"

namespace hmar {
namespace {

using nlohmann::json;

// Receives the header's JSON events. The grammar is fixed and three levels deep:
//   {"NAME": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}, ...,
//    "__metadata__": {"KEY": "text", ...}}
// so that what is open is one of five places, and anything else is refused as it comes.
class HeaderEvents : public json::json_sax_t {
 public:
  absl::StatusOr<std::map<std::string, SafetensorsEntry>> Take() && {
    if (!status_.ok()) return status_;
    return std::move(entries_);
  }

  bool null() override { return Refuse("null"); }
  bool boolean(bool) override { return Refuse("a boolean"); }
  bool number_float(json::number_float_t, const std::string& text) override {
    return Refuse("the number " + QuotedName(text));
  }
  bool binary(json::binary_t&) override { return Refuse("binary data"); }

  bool number_integer(json::number_integer_t value) override {
    return Refuse(absl::StrCat("the negative number ", value));
  }

  bool number_unsigned(json::number_unsigned_t value) override {
    if (place_ != Place::kNumbers) return Refuse(absl::StrCat("the number ", value));
    if (value > uint64_t{INT64_MAX}) return Refuse(absl::StrCat("the number ", value));
    if (numbers_->size() == kMaxDims) return Refuse("a long array");
    numbers_->push_back(static_cast<int64_t>(value));
    return true;
  }

  bool string(std::string& value) override {
    if (place_ == Place::kMetadata) return true;
    if (place_ != Place::kEntry || key_ != "dtype" || dtype_.has_value()) return Refuse("a string");
    dtype_ = DTypeByName(value);
    return dtype_.has_value() ||
           Fail(absl::StrCat("has dtype ", QuotedName(value),
                             "; known are F64, F32, F16, BF16, I64, I32, I16, I8, U8 and BOOL"));
  }

  bool key(std::string& value) override {
    key_ = std::move(value);
    if (place_ == Place::kRoot) name_ = key_;
    return true;
  }

  bool start_object(size_t) override {
    if (place_ == Place::kBefore) {
      place_ = Place::kRoot;
    } else if (place_ == Place::kRoot && name_ == "__metadata__") {
      place_ = Place::kMetadata;
    } else if (place_ == Place::kRoot) {
      place_ = Place::kEntry;
      dtype_.reset();
      shape_.reset();
      offsets_.reset();
    } else {
      return Refuse("an object");
    }
    return true;
  }

  bool end_object() override {
    const Place closed = std::exchange(place_, Place::kRoot);
    return closed != Place::kEntry || AddEntry();
  }

  bool start_array(size_t) override {
    if (place_ != Place::kEntry) return Refuse("an array");
    std::optional<std::vector<int64_t>>* const field = key_ == "shape"          ? &shape_
                                                       : key_ == "data_offsets" ? &offsets_
                                                                                : nullptr;
    if (field == nullptr || field->has_value()) return Refuse("an array");
    numbers_ = &field->emplace();
    place_ = Place::kNumbers;
    return true;
  }

  bool end_array() override {
    place_ = Place::kEntry;
    return true;
  }

  bool parse_error(size_t position, const std::string&, const json::exception&) override {
    if (status_.ok()) {
      status_ = absl::InvalidArgumentError(
          absl::StrCat("the header is not valid JSON at its byte ", position));
    }
    return false;
  }

 private:
  enum class Place { kBefore, kRoot, kMetadata, kEntry, kNumbers };

  bool Fail(const std::string& what) {
    status_ = absl::InvalidArgumentError(absl::StrCat("tensor ", QuotedName(name_), " ", what));
    return false;
  }

  bool Refuse(const std::string& what) {
    if (place_ == Place::kBefore) {
      status_ = absl::InvalidArgumentError("the header is not a JSON object");
      return false;
    }
    const bool in_root = place_ == Place::kRoot;
    return Fail(absl::StrCat("has ", what, " where none belongs",
                             in_root ? "" : ", at " + QuotedName(key_)));
  }

  bool AddEntry() {
    if (!dtype_) return Fail("has no dtype");
    if (!shape_) return Fail("has no shape");
    if (!offsets_ || offsets_->size() != 2) return Fail("has no two data_offsets");
    SafetensorsEntry entry;
    entry.info = {*dtype_, *shape_};
    entry.begin = static_cast<uint64_t>((*offsets_)[0]);
    entry.end = static_cast<uint64_t>((*offsets_)[1]);
    const std::optional<int64_t> elements = CheckedElements(*dtype_, *shape_);
    if (!elements) return Fail(absl::StrCat("has the impossible shape ", ShapeText(*shape_)));
    if (entry.begin > entry.end) {
      return Fail(absl::StrCat("has data_offsets ", entry.begin, ", ", entry.end));
    }
    const uint64_t wanted = static_cast<uint64_t>(*elements) * DTypeSize(*dtype_);
    if (entry.end - entry.begin != wanted) {
      return Fail(absl::StrCat("has ", entry.end - entry.begin, " bytes of data; ",
                               DTypeName(*dtype_), " ", ShapeText(*shape_), " takes ", wanted));
    }
    return entries_.emplace(name_, std::move(entry)).second || Fail("is there twice");
  }

  absl::Status status_;
  Place place_ = Place::kBefore;
  std::string name_;  // Of the tensor: the key last seen in the root.
  std::string key_;   // The key last seen anywhere.
  std::optional<DType> dtype_;
  std::optional<std::vector<int64_t>> shape_;
  std::optional<std::vector<int64_t>> offsets_;
  std::vector<int64_t>* numbers_ = nullptr;  // The array that is open, in kNumbers.
  std::map<std::string, SafetensorsEntry> entries_;
};

// The format wants every byte of the data in exactly one tensor.
absl::Status CheckCover(const std::map<std::string, SafetensorsEntry>& entries,
                        uint64_t data_bytes) {
  using Row = std::pair<const std::string, SafetensorsEntry>;
  std::vector<const Row*> rows;
  rows.reserve(entries.size());
  for (const Row& row : entries) rows.push_back(&row);
  std::sort(rows.begin(), rows.end(), [](const Row* a, const Row* b) {
    return std::pair(a->second.begin, a->second.end) < std::pair(b->second.begin, b->second.end);
  });
  uint64_t covered = 0;
  for (const Row* row : rows) {
    const auto& [begin, end] = std::pair(row->second.begin, row->second.end);
    const std::string where =
        absl::StrCat("tensor ", QuotedName(row->first), " has data_offsets ", begin, ", ", end);
    if (end > data_bytes) {
      return absl::InvalidArgumentError(
          absl::StrCat(where, "; the file has ", data_bytes, " bytes of data"));
    }
    if (begin != covered) {
      return absl::InvalidArgumentError(absl::StrCat(
          where,
          begin < covered ? "; overlaps the tensor before it, which ends at "
                          : "; leaves a gap after the tensor before it, which ends at ",
          covered));
    }
    covered = end;
  }
  if (covered == data_bytes) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("the tensors take ", covered, " bytes of data; the file has ", data_bytes));
}

}  // namespace

absl::StatusOr<std::map<std::string, SafetensorsEntry>> ParseSafetensorsHeader(
    absl::Span<const uint8_t> json_text, uint64_t data_bytes) {
  HeaderEvents events;
  json::sax_parse(json_text.begin(), json_text.end(), &events);
  HMAR_ASSIGN_OR_RETURN(auto entries, std::move(events).Take());
  HMAR_RETURN_IF_ERROR(CheckCover(entries, data_bytes));
  return entries;
}

}  // namespace hmar
