#include "server/wire/api_messages.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/fakes/fake_engine.h"

namespace hmar {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(ApiMessagesTest, AModelSaysWhatItsClassesAreCalled) {
  EngineInfo info = FakeEngineInfo();
  info.config.class_aliases = {{"kitty", "feline"}, {}, {"boat"}};
  const v1::Model model = ToProto(info, {}, /*is_default=*/true);
  EXPECT_THAT(model.classes(), ElementsAre("cat", "dog", "ship"));
  ASSERT_EQ(model.class_infos_size(), 3);
  EXPECT_EQ(model.class_infos(0).name(), "cat");
  EXPECT_THAT(model.class_infos(0).aliases(), ElementsAre("kitty", "feline"));
  EXPECT_EQ(model.class_infos(1).name(), "dog");
  EXPECT_THAT(model.class_infos(1).aliases(), IsEmpty());
  EXPECT_THAT(model.class_infos(2).aliases(), ElementsAre("boat"));
}

TEST(ApiMessagesTest, ClassesWithoutAliasesHaveNames) {
  const v1::Model model = ToProto(FakeEngineInfo(), {}, /*is_default=*/true);
  ASSERT_EQ(model.class_infos_size(), 3);
  EXPECT_EQ(model.class_infos(2).name(), "ship");
  EXPECT_THAT(model.class_infos(2).aliases(), IsEmpty());
}

// gRPC's clients take messages of 4 MiB unless told otherwise.
TEST(ApiMessagesTest, AThousandClassesAreSmall) {
  EngineInfo info;
  info.config = *OfficialArchitecture("hmar-d30");
  const v1::Model model = ToProto(info, {}, /*is_default=*/true);
  EXPECT_EQ(model.class_infos_size(), 1000);
  EXPECT_LT(model.ByteSizeLong(), 64u << 10);
}

}  // namespace
}  // namespace hmar
