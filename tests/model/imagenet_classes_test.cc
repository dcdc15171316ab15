// The committed table of names, as it must be whatever made it.

#include "model/imagenet_classes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>

#include "absl/strings/ascii.h"
#include "model/config.h"

namespace hmar {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::MatchesRegex;

// Of each class, the last alias.
std::vector<std::string> WordNetIds() {
  std::vector<std::string> ids;
  for (const auto& aliases : ReadImageNetClasses().aliases) ids.push_back(aliases.back());
  return ids;
}

TEST(ImageNetClasses, AreAThousandInTheOrderOfTheirWordNetIds) {
  const std::vector<std::string> ids = WordNetIds();
  ASSERT_EQ(ids.size(), 1000u);
  EXPECT_EQ(ReadImageNetClasses().names.size(), 1000u);
  EXPECT_TRUE(std::is_sorted(ids.begin(), ids.end(), std::less_equal<>()));  // Rising, too.
  for (const std::string& id : ids) EXPECT_THAT(id, MatchesRegex("n[0-9]{8}"));
}

TEST(ImageNetClasses, HaveNamesThatDifferByMoreThanCase) {
  std::set<std::string> seen;
  for (const std::string& name : ReadImageNetClasses().names) {
    EXPECT_TRUE(seen.insert(absl::AsciiStrToLower(name)).second) << name;
  }
}

TEST(ImageNetClasses, HaveAliasesThatAConfigurationMayHave) {
  const ImageNetClasses classes = ReadImageNetClasses();
  for (size_t id = 0; id < classes.names.size(); ++id) {
    std::set<std::string> called = {classes.names[id]};
    for (const std::string& alias : classes.aliases[id]) {
      EXPECT_TRUE(called.insert(alias).second) << alias << " of " << id;
    }
    for (const std::string& text : called) {
      EXPECT_THAT(text, MatchesRegex("[A-Za-z0-9 '.()-]+"));
      EXPECT_LE(text.size(), kMaxClassNameBytes);
    }
  }
}

TEST(ImageNetClasses, AreWhatTheyAreKnownAs) {
  const ImageNetClasses classes = ReadImageNetClasses();
  const std::map<size_t, std::string> known = {
      {0, "tench"},         {1, "goldfish"},  {207, "golden retriever"}, {281, "tabby"},
      {388, "giant panda"}, {499, "cleaver"}, {657, "missile"},          {817, "sports car"},
      {932, "pretzel"},     {954, "banana"},  {980, "volcano"},          {999, "toilet tissue"}};
  for (const auto& [id, name] : known) EXPECT_EQ(classes.names[id], name) << id;
  EXPECT_THAT(classes.aliases[0], ElementsAre("Tinca tinca", "n01440764"));
  EXPECT_THAT(classes.aliases[388], ElementsAre("panda", "panda bear", "coon bear",
                                                "Ailuropoda melanoleuca", "n02510455"));
  EXPECT_EQ(classes.aliases[999].back(), "n15075141");
}

TEST(ImageNetClasses, WithTheSameFirstLemmaAreToldApart) {
  const ImageNetClasses classes = ReadImageNetClasses();
  const std::map<size_t, std::string> told_apart = {{134, "crane (wading bird)"},
                                                    {517, "crane (lifting device)"},
                                                    {264, "Cardigan Welsh corgi"},
                                                    {474, "cardigan"},
                                                    {638, "maillot"},
                                                    {639, "tank suit"}};
  for (const auto& [id, name] : told_apart) EXPECT_EQ(classes.names[id], name) << id;
  for (const size_t id : {134, 517}) EXPECT_THAT(classes.aliases[id], Contains("crane"));
  EXPECT_THAT(classes.aliases[264], Contains("Cardigan"));
  EXPECT_THAT(classes.aliases[639], Contains("maillot"));
}

}  // namespace
}  // namespace hmar
