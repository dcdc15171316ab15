#include "server/wire/request_reader.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/wire_format_lite.h>
#include <grpcpp/support/proto_buffer_reader.h>

#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "server/wire/status_details.h"

namespace hmar {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::internal::WireFormatLite;
using google::protobuf::io::CodedInputStream;

enum class Fault { kDamaged, kTooManyItems };

// Counts a message's items without keeping any. It may count more than protobuf keeps (a field that
// comes again), never less.
class ItemCounter {
 public:
  explicit ItemCounter(CodedInputStream* in) : in_(in) {}

  // Walks to the end of the stream or its limit. Stops at the first fault.
  std::optional<Fault> Walk(const Descriptor& type) {
    while (const uint32_t tag = in_->ReadTag()) {
      const FieldDescriptor* field = type.FindFieldByNumber(WireFormatLite::GetTagFieldNumber(tag));
      if (field != nullptr) path_.push_back(field->name());
      if (const auto fault = WalkField(field, tag)) return fault;
      if (field != nullptr) path_.pop_back();
    }
    if (!in_->ConsumedEntireMessage()) return Fault::kDamaged;
    return std::nullopt;
  }

  // Dotted path of the field that a fault was found in; "" in none that is known.
  std::string path() const { return absl::StrJoin(path_, "."); }

 private:
  std::optional<Fault> WalkField(const FieldDescriptor* field, uint32_t tag) {
    if (const auto fault = Count()) return fault;
    switch (WireFormatLite::GetTagWireType(tag)) {
      case WireFormatLite::WIRETYPE_VARINT: {
        uint64_t ignored;
        return OrDamaged(in_->ReadVarint64(&ignored));
      }
      case WireFormatLite::WIRETYPE_FIXED64:
        return OrDamaged(in_->Skip(8));
      case WireFormatLite::WIRETYPE_FIXED32:
        return OrDamaged(in_->Skip(4));
      case WireFormatLite::WIRETYPE_LENGTH_DELIMITED:
        return WalkDelimited(field);
      default:
        return Fault::kDamaged;  // Groups, which proto3 does not have.
    }
  }

  std::optional<Fault> WalkDelimited(const FieldDescriptor* field) {
    int length = 0;
    if (!in_->ReadVarintSizeAsInt(&length)) return Fault::kDamaged;
    const bool message = field != nullptr && field->message_type() != nullptr;
    const bool packed = field != nullptr && field->is_packable();
    if (!message && !packed) return OrDamaged(in_->Skip(length));
    const CodedInputStream::Limit limit = in_->PushLimit(length);
    const auto fault = message ? Walk(*field->message_type()) : CountVarints();
    if (fault.has_value()) return fault;
    // A stream that ends early leaves part of its limit.
    if (in_->BytesUntilLimit() != 0) return Fault::kDamaged;
    in_->PopLimit(limit);
    return std::nullopt;
  }

  // The entries of a packed field. All of this API's are varints; others take more bytes an entry,
  // so that counted like this they are no fewer.
  std::optional<Fault> CountVarints() {
    while (in_->BytesUntilLimit() > 0) {
      uint64_t ignored;
      if (!in_->ReadVarint64(&ignored)) return Fault::kDamaged;
      if (const auto fault = Count()) return fault;
    }
    return std::nullopt;
  }

  std::optional<Fault> Count() {
    if (++items_ > kMaxRequestItems) return Fault::kTooManyItems;
    return std::nullopt;
  }

  static std::optional<Fault> OrDamaged(bool read) {
    return read ? std::nullopt : std::optional(Fault::kDamaged);
  }

  CodedInputStream* const in_;
  std::vector<std::string> path_;
  uint32_t items_ = 0;
};

absl::Status Damaged(const Descriptor& type, const std::string& path) {
  return InvalidRequest({{Reason::kMessageInvalid, path.empty() ? type.name() : path,
                          absl::StrCat("the bytes sent are no ", type.full_name(),
                                       " (cut off, damaged, or a string that is not UTF-8)")}});
}

absl::Status TooManyItems(const Descriptor& type, const std::string& path) {
  return InvalidRequest({{Reason::kFieldOutOfRange, path.empty() ? type.name() : path,
                          absl::StrCat("here the request passes ", kMaxRequestItems,
                                       " fields and entries, the most that one may have")}});
}

}  // namespace

absl::Status ReadRequest(const grpc::ByteBuffer& bytes, google::protobuf::Message* message) {
  const Descriptor& type = *message->GetDescriptor();
  if (!bytes.Valid()) return Damaged(type, "");
  // The reader only reads, though it does not say so.
  auto* buffer = const_cast<grpc::ByteBuffer*>(&bytes);
  {
    grpc::ProtoBufferReader reader(buffer);
    CodedInputStream in(&reader);
    ItemCounter counter(&in);
    const std::optional<Fault> fault = counter.Walk(type);
    if (fault == Fault::kTooManyItems) return TooManyItems(type, counter.path());
    if (fault == Fault::kDamaged) return Damaged(type, counter.path());
  }
  grpc::ProtoBufferReader reader(buffer);
  if (message->ParseFromZeroCopyStream(&reader)) return absl::OkStatus();
  message->Clear();
  return Damaged(type, "");
}

}  // namespace hmar
