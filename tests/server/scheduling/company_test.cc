#include "server/scheduling/company.h"

#include "gtest/gtest.h"

namespace hmar {
namespace {

const absl::Time kStart = absl::UnixEpoch();

TEST(CompanyTest, NobodyIsNone) {
  Company company;
  company.See(0, "a", kStart);
  EXPECT_FALSE(company.Had(0, "a", kStart));
}

TEST(CompanyTest, WhoHasLeftCountsForAMoment) {
  Company company;
  company.See(0, "a", kStart);
  company.See(0, "b", kStart);
  const auto had = [&company](absl::Duration after) {
    company.See(0, "a", kStart + after);
    return company.Had(0, "a", kStart + after);
  };
  EXPECT_TRUE(had(absl::Milliseconds(1)));
  EXPECT_TRUE(had(Company::kLately));
  EXPECT_FALSE(had(Company::kLately + absl::Milliseconds(1)));
  company.See(0, "b", kStart + absl::Seconds(10));
  EXPECT_TRUE(had(absl::Seconds(11)));
}

TEST(CompanyTest, OnlyThoseOfAHigherPriorityCountBesideOnesOwn) {
  Company company;
  company.See(-1, "a", kStart);
  company.See(0, "a", kStart);
  EXPECT_FALSE(company.Had(0, "a", kStart));
  EXPECT_TRUE(company.Had(-1, "a", kStart));
}

}  // namespace
}  // namespace hmar
