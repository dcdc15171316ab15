#include "client/wire_check.h"

#include "absl/strings/str_cat.h"
#include "google/protobuf/io/coded_stream.h"

namespace hmar {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::io::CodedInputStream;

enum class Count { kFits, kTooMany, kNoMessage };

// The low three bits of a tag.
enum WireType : uint32_t {
  kVarint = 0,
  kFixed64 = 1,
  kLengthDelimited = 2,
  kStartGroup = 3,
  kEndGroup = 4,
  kFixed32 = 5
};

Count CountFields(const Descriptor& type, CodedInputStream& bytes, uint32_t& left);

// A string, a packed list, or a message, whose own fields count, too. The API's messages do not
// nest in themselves, so this goes no deeper than they do.
Count CountDelimited(const FieldDescriptor* field, CodedInputStream& bytes, uint32_t& left) {
  int length = 0;
  if (!bytes.ReadVarintSizeAsInt(&length)) return Count::kNoMessage;
  if (field == nullptr || field->message_type() == nullptr) {
    return bytes.Skip(length) ? Count::kFits : Count::kNoMessage;
  }
  const CodedInputStream::Limit outer = bytes.PushLimit(length);
  const Count count = CountFields(*field->message_type(), bytes, left);
  if (count == Count::kFits && bytes.BytesUntilLimit() != 0) return Count::kNoMessage;
  bytes.PopLimit(outer);
  return count;
}

// What follows a tag. Groups need no nesting here: what is in them counts like all else.
Count CountField(uint32_t tag, const Descriptor& type, CodedInputStream& bytes, uint32_t& left) {
  uint64_t varint = 0;
  bool read = false;
  switch (tag & 7) {
    case kVarint:
      read = bytes.ReadVarint64(&varint);
      break;
    case kFixed64:
      read = bytes.Skip(8);
      break;
    case kFixed32:
      read = bytes.Skip(4);
      break;
    case kLengthDelimited:
      return CountDelimited(type.FindFieldByNumber(static_cast<int>(tag >> 3)), bytes, left);
    case kStartGroup:
    case kEndGroup:
      read = true;
      break;
  }
  return read ? Count::kFits : Count::kNoMessage;
}

Count CountFields(const Descriptor& type, CodedInputStream& bytes, uint32_t& left) {
  while (const uint32_t tag = bytes.ReadTag()) {
    if (left == 0) return Count::kTooMany;
    --left;
    const Count count = CountField(tag, type, bytes, left);
    if (count != Count::kFits) return count;
  }
  return bytes.ConsumedEntireMessage() ? Count::kFits : Count::kNoMessage;
}

}  // namespace

absl::Status CheckFieldCount(const Descriptor& type,
                             google::protobuf::io::ZeroCopyInputStream& bytes,
                             uint32_t max_fields) {
  CodedInputStream coded(&bytes);
  uint32_t left = max_fields;
  switch (CountFields(type, coded, left)) {
    case Count::kFits:
      return absl::OkStatus();
    case Count::kTooMany:
      return absl::DataLossError(
          absl::StrCat("a ", type.name(), " of more than ", max_fields, " fields"));
    case Count::kNoMessage:
      break;
  }
  return absl::DataLossError(absl::StrCat("bytes that are no ", type.name()));
}

}  // namespace hmar
