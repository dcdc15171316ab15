#include "server/wire/class_index.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "absl/strings/ascii.h"
#include "absl/strings/str_replace.h"
#include "server/base/errors.h"

namespace hmar {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

// `classes` with their aliases.
ClassIndex IndexOf(const std::vector<std::vector<std::string>>& classes) {
  ModelConfig config;
  config.name = "m";
  for (const std::vector<std::string>& called : classes) {
    config.classes.push_back(called.front());
    config.class_aliases.emplace_back(called.begin() + 1, called.end());
  }
  return ClassIndex(config);
}

const ClassIndex& ImageNet() {
  static const auto* const index = new ClassIndex(*OfficialArchitecture("hmar-d16"));
  return *index;
}

// The message of the error that a text must give.
std::string Error(const ClassIndex& index, const std::string& text) {
  const absl::Status status = index.Find(text).status();
  EXPECT_FALSE(status.ok()) << text;
  if (status.ok()) return "";
  EXPECT_EQ(ReasonOf(status), Reason::kUnknownClass);
  return std::string(status.message());
}

TEST(ClassIndexTest, FindsAClassByNameAliasOrNumber) {
  for (const char* text :
       {"golden retriever", "Golden Retriever", "GOLDEN_RETRIEVER", "golden-retriever",
        "  golden  retriever\n", "n02099601", "N02099601", "207", " 207 ", "0207", "class 207"}) {
    EXPECT_EQ(ImageNet().Find(text).value_or(1000), 207u) << text;
  }
  EXPECT_EQ(*ImageNet().Find("tinca TINCA"), 0u);
  EXPECT_EQ(*ImageNet().Find("hen of-the_woods"), 996u);
}

TEST(ClassIndexTest, FindsEveryNameHoweverItIsWritten) {
  const ModelConfig config = *OfficialArchitecture("hmar-d16");
  for (uint32_t id = 0; id < config.classes.size(); ++id) {
    const std::string& name = config.classes[id];
    EXPECT_EQ(ImageNet().Find(name).value_or(1000), id) << name;
    EXPECT_EQ(ImageNet().Find(absl::AsciiStrToUpper(name)).value_or(1000), id) << name;
    EXPECT_EQ(ImageNet().Find(absl::StrReplaceAll(name, {{" ", "_"}, {"-", "_"}})).value_or(1000),
              id)
        << name;
    EXPECT_EQ(ImageNet().Find(config.class_aliases[id].back()).value_or(1000), id) << name;
    EXPECT_EQ(ImageNet().Find(std::to_string(id)).value_or(1000), id);
  }
}

TEST(ClassIndexTest, TakesAnExactNameThenALooseOneThenAnAliasThenANumber) {
  const ClassIndex index = IndexOf({{"2"}, {"cat", "DOG", "4"}, {"Cat"}, {"dog"}, {"ship"}});
  EXPECT_EQ(*index.Find("cat"), 1u);
  EXPECT_EQ(*index.Find("Cat"), 2u);
  EXPECT_EQ(*index.Find("DOG"), 3u);  // A name in another case, before the alias as it is.
  EXPECT_EQ(*index.Find("4"), 1u);    // An alias.
  EXPECT_EQ(*index.Find("2"), 0u);    // A name.
  EXPECT_EQ(*index.Find("3"), 3u);
}

TEST(ClassIndexTest, RefusesWhatSeveralClassesAreCalledAndSaysWhich) {
  EXPECT_EQ(Error(IndexOf({{"cat"}, {"Cat"}}), "CAT"),
            "model m has 2 classes called \"CAT\": \"cat\" (0), \"Cat\" (1)");
  EXPECT_THAT(Error(ImageNet(), "panda"),
              HasSubstr("\"lesser panda\" (387), \"giant panda\" (388)"));
  EXPECT_THAT(Error(ImageNet(), "crane"),
              HasSubstr("\"crane (wading bird)\" (134), \"crane (lifting device)\" (517)"));
  EXPECT_EQ(*ImageNet().Find("missile"), 657u);  // The name of one, an alias of another.
  EXPECT_THAT(Error(IndexOf({{"a", "x"}, {"b", "x"}, {"c", "x"}, {"d", "X"}}), "x"),
              AllOf(HasSubstr("4 classes"), HasSubstr("\"c\" (2), ..."), Not(HasSubstr("\"d\""))));
}

TEST(ClassIndexTest, AnAliasSpeltTwiceIsOfOneClassStill) {
  EXPECT_EQ(*IndexOf({{"cat"}, {"tree frog", "tree-frog", "Tree Frog"}}).Find("TREE_FROG"), 1u);
}

TEST(ClassIndexTest, ASignOrAnotherBaseIsNoNumber) {
  const ClassIndex index = IndexOf({{"cat"}, {"dog"}});
  for (const char* text : {"-1", "+1", "0x1", "1.0", "1e0", "2", "99999999999999999999", "class",
                           "class -1", "\xd9\xa1"}) {
    EXPECT_THAT(Error(index, text), HasSubstr("it has 2 classes, from 0")) << text;
  }
}

TEST(ClassIndexTest, NamesTheThreeNearest) {
  EXPECT_EQ(Error(IndexOf({{"cat"}, {"dog", "hound"}, {"ship"}, {"airplane"}}), "hond"),
            "model m has no class \"hond\"; the nearest are \"hound\" (\"dog\"), \"cat\", "
            "\"ship\"; it has 4 classes, from 0");
  EXPECT_THAT(Error(ImageNet(), "goldn retreiver"),
              HasSubstr("the nearest are \"golden retriever\", "));
  EXPECT_THAT(Error(IndexOf({{"cat"}}), "x"), HasSubstr("the nearest are \"cat\"; "));
  EXPECT_THAT(Error(IndexOf({{"caf\xc3\xa9"}, {"cat"}}), "cafe"),
              HasSubstr("are \"caf\\xc3\\xa9\", \"cat\""));
}

TEST(ClassIndexTest, TheNearestAreOfClassesThatDiffer) {
  const ClassIndex index = IndexOf({{"cats", "cat", "cut"}, {"cow"}, {"catt"}, {"x"}});
  std::vector<uint32_t> ids;
  for (const ClassSpelling& spelling : index.Nearest("CAT", 10)) ids.push_back(spelling.class_id);
  EXPECT_THAT(ids, ElementsAre(0, 2, 1, 3));
  EXPECT_EQ(index.Nearest("CAT", 1).front().text, "cat");
  EXPECT_FALSE(index.Nearest("CAT", 1).front().is_name);
  EXPECT_THAT(index.Nearest("CAT", 0), IsEmpty());
  EXPECT_EQ(index.Nearest("x" + std::string(1 << 20, 'x'), 1).front().text, "x");
}

TEST(ClassIndexTest, LongTextIsRefusedUnread) {
  EXPECT_THAT(
      Error(ImageNet(), std::string(1 << 20, 'x')),
      AllOf(HasSubstr("(1048576 bytes); a name has at most 256 bytes"), Not(HasSubstr("nearest"))));
  EXPECT_THAT(Error(ImageNet(), std::string(257, ' ')), HasSubstr("at most 256 bytes"));
  EXPECT_THAT(Error(ImageNet(), std::string(256, 'x')), HasSubstr("the nearest are"));
}

TEST(ClassIndexTest, NothingIsCalledByNothing) {
  const ClassIndex index = IndexOf({{"cat"}, {"  ", "\t"}, {"-"}});
  for (const char* text : {"", " ", "\n"}) EXPECT_THAT(Error(index, text), HasSubstr("no class"));
  EXPECT_EQ(*index.Find("  "), 1u);  // Letter by letter.
  EXPECT_EQ(*index.Find("-"), 2u);
}

// Bytes of any kind, most of them near a name. Worth most with HMAR_SANITIZE=address,undefined.
TEST(ClassIndexTest, AnyBytesAreAClassOrAShortError) {
  const std::vector<std::string> names = OfficialArchitecture("hmar-d16")->classes;
  std::mt19937 random(1);
  size_t found = 0;
  for (int i = 0; i < 2000; ++i) {
    std::string text = names[random() % names.size()];
    for (size_t changes = random() % 3; changes > 0; --changes) {
      text[random() % text.size()] = static_cast<char>(random());
    }
    if (random() % 8 == 0) text += std::string(random() % 300, static_cast<char>(random()));
    const auto id = ImageNet().Find(text);
    if (id.ok()) {
      ++found;
      EXPECT_LT(*id, 1000u);
    } else {
      EXPECT_THAT(std::string(id.status().message()), SizeIs(::testing::Lt(1000)));
    }
  }
  EXPECT_GT(found, 500u);
  EXPECT_LT(found, 1500u);
}

}  // namespace
}  // namespace hmar
