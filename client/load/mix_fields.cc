#include "client/load/mix_fields.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/printable.h"

namespace hmar::load {
namespace {

constexpr size_t kMaxNameBytes = 64;
constexpr size_t kMaxPathBytes = 4096;
constexpr int64_t kMaxImages = 4096;
constexpr int64_t kMaxMs = 3'600'000;
constexpr int64_t kMaxReadDelayMs = 60'000;
constexpr int64_t kMaxUploads = 256;

absl::Status Wrong(absl::string_view value, absl::string_view limit) {
  return absl::InvalidArgumentError(
      absl::StrCat("was '", Printable(value, kMaxNameBytes), "', must be ", limit));
}

bool IsNameByte(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return absl::ascii_isalnum(byte) || c == '.' || c == '-' || c == '_' || c == '/';
}

// Sets one field by its type.
struct Setter {
  absl::string_view value;
  Kind& kind;

  absl::Status operator()(const WholeField& field) const {
    int64_t number = 0;
    if (!absl::SimpleAtoi(value, &number) || number < field.least || number > field.most) {
      return Wrong(value, absl::StrCat("a whole number, ", field.least, " .. ", field.most));
    }
    kind.*field.member = number;
    return absl::OkStatus();
  }

  absl::Status operator()(const NumberField& field) const {
    double number = 0;
    if (!absl::SimpleAtod(value, &number) || !(number > 0) || number > field.most) {
      return Wrong(value, absl::StrCat("a number in (0, ", field.most, "]"));
    }
    kind.*field.member = number;
    return absl::OkStatus();
  }

  absl::Status operator()(const ChoiceField& field) const {
    if (std::find(field.choices.begin(), field.choices.end(), value) == field.choices.end()) {
      return Wrong(value, absl::StrCat("one of ", absl::StrJoin(field.choices, ", ")));
    }
    kind.*field.member = std::string(value);
    return absl::OkStatus();
  }

  absl::Status operator()(const NameField& field) const {
    if (value.empty() || value.size() > kMaxNameBytes ||
        !std::all_of(value.begin(), value.end(), IsNameByte)) {
      return Wrong(value, absl::StrCat("1 .. ", kMaxNameBytes, " of A-Z a-z 0-9 . - _ /"));
    }
    kind.*field.member = std::string(value);
    return absl::OkStatus();
  }

  absl::Status operator()(const PathField& field) const {
    if (value.empty() || value.size() > kMaxPathBytes || absl::StrContains(value, '\0')) {
      return Wrong(value, absl::StrCat("a file's name, 1 .. ", kMaxPathBytes, " bytes"));
    }
    kind.*field.member = std::string(value);
    return absl::OkStatus();
  }
};

std::vector<KindField> MakeFields() {
  return {
      {"name", "Name in reports; default: METHOD-N", NameField{&Kind::name}},
      {"weight", "Share of the calls, beside the other kinds' weights",
       NumberField{&Kind::weight, 1e6}},
      {"method",
       "generate (streamed), generate_images (one reply), edit (streamed, with a picture sent)",
       ChoiceField{&Kind::method, {"generate", "generate_images", "edit"}}},
      {"model", "Name of the model; default: the server's default", NameField{&Kind::model}},
      {"images", "Images of a request", WholeField{&Kind::images, 1, kMaxImages}},
      {"previews", "Pictures of unfinished images",
       ChoiceField{&Kind::previews, {"none", "fast", "full"}}},
      {"format", "How pictures travel", ChoiceField{&Kind::format, {"png", "jpeg", "webp", "rgb"}}},
      {"priority", "The request's priority", WholeField{&Kind::priority, INT32_MIN, INT32_MAX}},
      {"deadline_ms", "Deadline of a call from when it is due; 0: none",
       WholeField{&Kind::deadline_ms, 0, kMaxMs}},
      {"on_deadline", "What the server is to do where the deadline cannot be met",
       ChoiceField{&Kind::on_deadline, {"fail", "refuse", "degrade"}}},
      {"cancel_after_ms", "The client cancels so long after the call is due; 0: never",
       WholeField{&Kind::cancel_after_ms, 0, kMaxMs}},
      {"read_delay_ms", "The client waits so long before each read: a slow reader",
       WholeField{&Kind::read_delay_ms, 0, kMaxReadDelayMs}},
      {"principal", "Who calls: each has connections and an x-forwarded-for address of its own",
       NameField{&Kind::principal}},
      {"api_key_file", "File that holds the key of these calls; default: the key of the load",
       PathField{&Kind::api_key_file}},
      {"uploads", "Different pictures that edits send", WholeField{&Kind::uploads, 1, kMaxUploads}},
  };
}

}  // namespace

const std::vector<KindField>& KindFields() {
  static const auto* const fields = new std::vector<KindField>(MakeFields());
  return *fields;
}

absl::Status SetField(const KindField& field, absl::string_view value, Kind& kind) {
  return std::visit(Setter{value, kind}, field.type);
}

bool IsNumeric(const KindField& field) {
  return std::holds_alternative<WholeField>(field.type) ||
         std::holds_alternative<NumberField>(field.type);
}

}  // namespace hmar::load
