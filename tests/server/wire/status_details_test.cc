#include "server/wire/status_details.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "tests/server/grpc_details.h"

namespace hmar {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Le;
using ::testing::Not;

constexpr size_t kTrailerBytes = 8192;  // gRPC's default bound on a call's metadata.

// What the error costs in trailers: the message is percent-encoded, the details are base64.
size_t SentBytes(const grpc::Status& status) {
  return status.error_message().size() + absl::Base64Escape(status.error_details()).size();
}

TEST(ReasonTableTest, RowsStandInTheOrderOfTheEnumAndNamesAreUnique) {
  std::set<std::string> names;
  for (size_t i = 0; i < ReasonTable().size(); ++i) {
    const ReasonRow& row = ReasonTable()[i];
    EXPECT_EQ(static_cast<size_t>(row.reason), i) << row.name;
    EXPECT_TRUE(names.insert(row.name).second) << row.name;
    EXPECT_THAT(row.name, ::testing::MatchesRegex("[A-Z][A-Z0-9_]+"));
    EXPECT_NE(row.code, absl::StatusCode::kOk) << row.name;
  }
  EXPECT_EQ(static_cast<size_t>(Reason::kInternal) + 1, ReasonTable().size());
}

TEST(StatusDetailsTest, OkStaysOk) {
  EXPECT_TRUE(ToGrpcStatus(absl::OkStatus(), "r-1").ok());
  EXPECT_EQ(ReasonName(absl::OkStatus()), "");
}

TEST(StatusDetailsTest, EveryReasonArrivesWithItsCodeItsDomainAndTheRequestId) {
  for (const ReasonRow& row : ReasonTable()) {
    const grpc::Status status = ToGrpcStatus(ErrorOf(row.reason, "why"), "r-1");
    EXPECT_EQ(static_cast<int>(status.error_code()), static_cast<int>(row.code)) << row.name;
    EXPECT_EQ(status.error_message(), "why");
    const auto info = DetailOf<google::rpc::ErrorInfo>(status);
    ASSERT_TRUE(info.has_value()) << row.name;
    EXPECT_EQ(info->domain(), "hmar.v1");
    EXPECT_EQ(info->reason(), row.name);
    EXPECT_EQ(info->metadata().at("request_id"), "r-1");
  }
}

TEST(StatusDetailsTest, AnErrorWithoutAReasonGetsTheOneItsCodeImplies) {
  EXPECT_EQ(ReasonIn(ToGrpcStatus(absl::ResourceExhaustedError("full"), "")), "QUEUE_FULL");
  EXPECT_EQ(ReasonIn(ToGrpcStatus(absl::UnavailableError("down"), "")), "DRAINING");
  EXPECT_EQ(ReasonIn(ToGrpcStatus(absl::DeadlineExceededError("late"), "")), "DEADLINE_EXCEEDED");
  EXPECT_EQ(ReasonIn(ToGrpcStatus(absl::CancelledError("gone"), "")), "CANCELLED");
  const grpc::Status odd = ToGrpcStatus(absl::FailedPreconditionError("odd"), "");
  EXPECT_EQ(ReasonIn(odd), "INTERNAL");
  EXPECT_EQ(odd.error_code(), grpc::StatusCode::INTERNAL);
}

TEST(StatusDetailsTest, AReasonCanBeGivenLater) {
  const absl::Status status =
      WithReason(absl::InvalidArgumentError("logits"), Reason::kGenerationFailed);
  EXPECT_EQ(status.code(), absl::StatusCode::kInternal);
  EXPECT_EQ(ReasonName(status), "GENERATION_FAILED");
  EXPECT_EQ(status.message(), "logits");
}

TEST(StatusDetailsTest, ViolationsAreListedInOrderWithTheirReasons) {
  const grpc::Status status =
      ToGrpcStatus(InvalidRequest({{Reason::kFieldOutOfRange, "num_images", "100; at most 64"},
                                   {Reason::kImageInvalid, "edit.image", "not a PNG"}}),
                   "r-1");
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(status.error_message(),
            "2 fields are invalid; the first is num_images: 100; at most 64");
  EXPECT_THAT(FieldsIn(status), ElementsAre("num_images", "edit.image"));
  const auto bad_request = DetailOf<google::rpc::BadRequest>(status);
  EXPECT_EQ(bad_request->field_violations(1).description(), "not a PNG");
  EXPECT_EQ(bad_request->field_violations(1).reason(), "IMAGE_INVALID");
  EXPECT_EQ(ReasonIn(status), "FIELD_OUT_OF_RANGE");
}

TEST(StatusDetailsTest, OnlyErrorsThatMayPassCarryARetryDelayWithinBounds) {
  const auto delay = [](const absl::Status& status, absl::Duration after) {
    const auto info = DetailOf<google::rpc::RetryInfo>(ToGrpcStatus(RetryAfter(status, after), ""));
    return info.has_value() ? absl::Seconds(info->retry_delay().seconds()) +
                                  absl::Nanoseconds(info->retry_delay().nanos())
                            : absl::Duration();
  };
  const absl::Status full = ErrorOf(Reason::kQueueFull, "full");
  EXPECT_EQ(delay(full, absl::Milliseconds(2500)), absl::Milliseconds(2500));
  EXPECT_EQ(delay(full, absl::ZeroDuration()), absl::Milliseconds(100));
  EXPECT_EQ(delay(full, absl::InfiniteDuration()), absl::Minutes(5));
  EXPECT_EQ(delay(ErrorOf(Reason::kDraining, "down"), absl::Seconds(7)), absl::Seconds(7));
  EXPECT_EQ(delay(ErrorOf(Reason::kInternal, "bug"), absl::Seconds(7)), absl::Duration());
}

TEST(StatusDetailsTest, AnUnknownModelIsAResource) {
  const grpc::Status status = ToGrpcStatus(ModelNotFound("dall-e", {"a", "b"}), "");
  EXPECT_EQ(status.error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_THAT(status.error_message(), HasSubstr("a, b"));
  const auto resource = DetailOf<google::rpc::ResourceInfo>(status);
  ASSERT_TRUE(resource.has_value());
  EXPECT_EQ(resource->resource_type(), "hmar.v1.Model");
  EXPECT_EQ(resource->resource_name(), "dall-e");
}

TEST(StatusDetailsTest, QuotedShowsShortValuesWholeAndOnlyTheHeadOfLongOnes) {
  EXPECT_EQ(Quoted("ship"), "\"ship\"");
  EXPECT_EQ(Quoted("a\n\x01\xff"), "\"a\\n\\x01\\xff\"");
  const std::string quoted = Quoted(std::string(4 << 20, 'x'));
  EXPECT_THAT(quoted, HasSubstr("(4194304 bytes)"));
  EXPECT_THAT(quoted.size(), Le(100u));
}

TEST(StatusDetailsTest, MessagesArePrintableWhateverTheyWereMadeOf) {
  const grpc::Status status = ToGrpcStatus(absl::InternalError("file \x80\x01.bin\n"), "");
  EXPECT_EQ(status.error_message(), "file \\x80\\x01.bin\\x0a");
}

TEST(StatusDetailsTest, TheLargestErrorsStayUnderTheBoundOfTrailers) {
  std::vector<Violation> violations;
  for (int i = 0; i < 1000; ++i) {
    violations.push_back({Reason::kSamplingInvalid, absl::StrCat("a.b[", i, "]"),
                          std::string(2000, static_cast<char>(0x80 + i % 100))});
  }
  const grpc::Status invalid = ToGrpcStatus(InvalidRequest(violations), std::string(128, 'i'));
  EXPECT_THAT(SentBytes(invalid), Le(kTrailerBytes));
  EXPECT_THAT(FieldsIn(invalid), Not(::testing::IsEmpty()));
  EXPECT_THAT(invalid.error_message(), HasSubstr("1000 fields"));

  const std::string name(1 << 20, '\xff');
  EXPECT_THAT(SentBytes(ToGrpcStatus(ModelNotFound(name, {std::string(5000, 'm')}), "")),
              Le(kTrailerBytes));
  EXPECT_THAT(SentBytes(ToGrpcStatus(absl::ResourceExhaustedError(name), "")), Le(kTrailerBytes));
}

}  // namespace
}  // namespace hmar
