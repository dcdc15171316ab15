#include "server/keys/key_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"

namespace hmar {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

const std::vector<std::string> kModels = {"cifar", "d16"};

std::string Hash(char digit) { return std::string(64, digit); }

absl::StatusOr<std::vector<Key>> Parse(const std::string& toml) {
  return ParseKeys(toml, "keys.toml", kModels);
}

TEST(KeyFileTest, EveryFieldIsRead) {
  const auto keys = Parse(absl::StrCat(R"(
# those of the web shop
[[key]]
name = "web-shop.1"
sha256 = ")",
                                       Hash('a'), R"("
models = ["d16"]
images_per_minute = 600
max_queued_images = 128
max_priority = -3
weight = 2.5
expires = 2027-01-31T10:20:30+02:00
)"));
  ASSERT_TRUE(keys.ok()) << keys.status();
  ASSERT_EQ(keys->size(), 1);
  const Key& key = keys->front();
  EXPECT_EQ(key.name, "web-shop.1");
  ASSERT_EQ(key.hashes.size(), 1);
  EXPECT_EQ(key.hashes[0][0], 0xaa);
  EXPECT_THAT(*key.models, ElementsAre("d16"));
  EXPECT_EQ(key.images_per_minute, 600);
  EXPECT_EQ(key.max_queued_images, 128);
  EXPECT_EQ(key.max_priority, -3);
  EXPECT_EQ(key.weight, 2.5);
  EXPECT_EQ(absl::FormatTime(absl::RFC3339_full, key.expires, absl::UTCTimeZone()),
            "2027-01-31T08:20:30+00:00");
}

TEST(KeyFileTest, WhatIsAbsentIsNotLimited) {
  const auto keys = Parse(absl::StrCat("[[key]]\nname = \"a\"\nsha256 = \"", Hash('1'), "\"\n"));
  ASSERT_TRUE(keys.ok()) << keys.status();
  const Key& key = keys->front();
  EXPECT_FALSE(key.models.has_value());
  EXPECT_FALSE(key.images_per_minute.has_value());
  EXPECT_FALSE(key.max_queued_images.has_value());
  EXPECT_FALSE(key.max_priority.has_value());
  EXPECT_EQ(key.weight, 1);
  EXPECT_EQ(key.expires, absl::InfiniteFuture());
}

TEST(KeyFileTest, ADateEndsWithItsDay) {
  const auto keys = Parse(
      absl::StrCat("[[key]]\nname = \"a\"\nsha256 = \"", Hash('1'), "\"\nexpires = 2027-01-31\n"));
  ASSERT_TRUE(keys.ok()) << keys.status();
  EXPECT_EQ(absl::FormatTime(absl::RFC3339_full, keys->front().expires, absl::UTCTimeZone()),
            "2027-02-01T00:00:00+00:00");
}

TEST(KeyFileTest, AnOldAndANewKeyOpenAtTheSameTime) {
  const auto keys = Parse(
      absl::StrCat("[[key]]\nname = \"a\"\nsha256 = [\"", Hash('1'), "\", \"", Hash('2'), "\"]\n"));
  ASSERT_TRUE(keys.ok()) << keys.status();
  EXPECT_EQ(keys->front().hashes.size(), 2);
}

// A fault, and the words of its message.
struct Fault {
  const char* lines;  // Of a file whose first three are a good key's.
  const char* where;
  const char* what;
};

class KeyFileFaultTest : public ::testing::TestWithParam<Fault> {};

TEST_P(KeyFileFaultTest, IsToldWithItsLine) {
  const std::string good = absl::StrCat("[[key]]\nname = \"good\"\nsha256 = \"", Hash('9'), "\"\n");
  ASSERT_TRUE(Parse(good).ok());
  const absl::Status status = Parse(good + GetParam().lines).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()),
              ::testing::StartsWith(absl::StrCat("keys.toml:", GetParam().where, ": ")));
  EXPECT_THAT(std::string(status.message()), HasSubstr(GetParam().what));
  EXPECT_THAT(std::string(status.message()), Not(HasSubstr("99999999")));
}

INSTANTIATE_TEST_SUITE_P(
    Faults, KeyFileFaultTest,
    ::testing::Values(
        Fault{"color = 1\n", "4", "no such field: color; a key has expires, images_per_minute"},
        Fault{"weight = 0\n", "4", "weight must be a number of 0.01 to 100"},
        Fault{"weight = nan\n", "4", "weight must be a number"},
        Fault{"weight = \"2\"\n", "4", "weight must be a number"},
        Fault{"max_priority = 11\n", "4", "max_priority must be an integer of -10 to 10"},
        Fault{"images_per_minute = 0\n", "4", "images_per_minute must be an integer of 1 to"},
        Fault{"images_per_minute = 1.5\n", "4", "images_per_minute must be an integer"},
        Fault{"max_queued_images = -1\n", "4", "max_queued_images must be an integer of 1 to"},
        Fault{"models = [\"d17\"]\n", "4", "names of models that this server has: cifar, d16"},
        Fault{"models = \"d16\"\n", "4", "models must be an array"},
        Fault{"expires = \"2027-01-31\"\n", "4", "expires must be a date or a time"},
        Fault{"[[key]]\nsha256 = \"1\"\n", "5", "sha256 must be the SHA-256 of a key in 64 hex"},
        Fault{"[[key]]\nsha256 = []\n", "5", "sha256 must be the SHA-256"},
        Fault{"[[key]]\nname = \"good\"\nsha256 = "
              "\"1111111111111111111111111111111111111111111111111111111111111111\"\n",
              "4", "a second key named good"},
        Fault{"[[key]]\nname = \"other\"\nsha256 = "
              "\"9999999999999999999999999999999999999999999999999999999999999999\"\n",
              "4", "key other has a sha256 that stands here before"},
        Fault{"[[key]]\nname = \"other\"\n", "4", "key other has no sha256"},
        Fault{"[[key]]\nname = \"\"\n", "5", "name must be a string of 1 to 64 characters"},
        Fault{"[[key]]\nname = \"a b\"\n", "5", "name must be a string"},
        Fault{"[[key]]\n", "4", "a key without a name"},
        Fault{"[server]\nx = 1\n", "4", "there are only [[key]] tables in a keys file"},
        Fault{"name = \n", "4", ""}, Fault{"weight = 1 # \xff\n", "4", "utf-8"}));

TEST(KeyFileTest, AFileWithoutKeysIsAFault) {
  EXPECT_EQ(Parse("").status().message(), "keys.toml:1: no [[key]] table");
  EXPECT_EQ(Parse("key = 1\n").status().message(),
            "keys.toml:1: there are only [[key]] tables in a keys file");
}

TEST(KeyFileTest, ThereIsALimitToKeys) {
  std::string many;
  for (size_t i = 0; i <= kMaxKeys; ++i) absl::StrAppend(&many, "[[key]]\n");
  EXPECT_THAT(std::string(Parse(many).status().message()), HasSubstr("4097 keys; at most 4096"));
}

TEST(KeyFileTest, AFileThatIsNoneOrTooLargeIsNotRead) {
  const std::string folder = ::testing::TempDir();
  EXPECT_EQ(ReadKeys(folder + "none.toml", kModels).status().message(),
            folder + "none.toml: cannot be read");
  EXPECT_EQ(ReadKeys(folder, kModels).status().message(), folder + ": cannot be read");
  const std::string large = folder + "large.toml";
  std::ofstream(large) << std::string(kMaxKeysFileBytes + 1, '\n');
  EXPECT_THAT(std::string(ReadKeys(large, kModels).status().message()),
              HasSubstr("larger than 4194304 bytes"));
}

}  // namespace
}  // namespace hmar
