#include "server/operations/basic_auth.h"

#include <crypt.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <fstream>
#include <memory>
#include <string>

#include "tests/fakes/fake_clock.h"

namespace hmar {
namespace {

using ::testing::HasSubstr;
using Answer = BasicAuth::Answer;

// By a fast setting of a slow hash, of the kind that htpasswd -B makes.
std::string HashOf(const std::string& password) {
  const auto state = std::make_unique<crypt_data>();
  return crypt_r(password.c_str(), "$2y$04$abcdefghijklmnopqrstuu", state.get());
}

class BasicAuthTest : public ::testing::Test {
 protected:
  void Write(const std::string& lines) { std::ofstream(path_, std::ios::trunc) << lines; }

  std::string FaultOf(const std::string& lines) {
    Write(lines);
    return std::string(BasicAuth::Open(path_, &clock_).status().message());
  }

  const std::string path_ = ::testing::TempDir() + "basic_auth_test";
  FakeClock clock_;
};

TEST_F(BasicAuthTest, ThePasswordOfTheUserOpens) {
  Write("# who scrapes\n\nprometheus:" + HashOf("secret") + "\nadmin:" + HashOf("other") + "\n");
  const auto auth = *BasicAuth::Open(path_, &clock_);
  EXPECT_EQ(auth->Check("prometheus", "secret"), Answer::kYes);
  EXPECT_EQ(auth->Check("admin", "other"), Answer::kYes);
  EXPECT_EQ(auth->Check("prometheus", "other"), Answer::kNo);
  EXPECT_EQ(auth->Check("nobody", "secret"), Answer::kNo);
  EXPECT_EQ(auth->Check("", ""), Answer::kNo);
  EXPECT_EQ(auth->Check("prometheus", std::string(1 << 20, 'x')), Answer::kNo);
  EXPECT_EQ(auth->Check("prometheus", std::string("secret\0", 7)), Answer::kNo);
}

TEST_F(BasicAuthTest, StrangersAreWorkedOutAFewASecondAndWhoIsKnownIsNotHeldUp) {
  Write("prometheus:" + HashOf("secret") + "\n");
  const auto auth = *BasicAuth::Open(path_, &clock_);
  ASSERT_EQ(auth->Check("prometheus", "secret"), Answer::kYes);
  int worked_out = 0;
  for (int i = 0; i < 100; ++i) worked_out += auth->Check("prometheus", "guess") == Answer::kNo;
  EXPECT_EQ(worked_out, 3);
  EXPECT_EQ(auth->Check("prometheus", "secret"), Answer::kYes);
  clock_.Advance(absl::Seconds(1));
  EXPECT_EQ(auth->Check("prometheus", "guess"), Answer::kNo);
}

TEST_F(BasicAuthTest, ANewFileCountsAndAFaultyOneDoesNot) {
  Write("prometheus:" + HashOf("secret") + "\n");
  const auto auth = *BasicAuth::Open(path_, &clock_);
  ASSERT_EQ(auth->Check("prometheus", "secret"), Answer::kYes);
  Write("prometheus\n");
  EXPECT_FALSE(auth->Reload().ok());
  EXPECT_EQ(auth->Check("prometheus", "secret"), Answer::kYes);
  Write("prometheus:" + HashOf("changed") + "\n");
  ASSERT_TRUE(auth->Reload().ok());
  EXPECT_EQ(auth->Check("prometheus", "secret"), Answer::kNo);
  EXPECT_EQ(auth->Check("prometheus", "changed"), Answer::kYes);
}

TEST_F(BasicAuthTest, FaultsAreToldWithTheirLine) {
  const std::string good = "a:" + HashOf("x") + "\n";
  EXPECT_EQ(FaultOf(""), path_ + ": no user");
  EXPECT_EQ(FaultOf(good + "b\n"), path_ + ":2: want USER:HASH");
  EXPECT_EQ(FaultOf(good + ":x\n"), path_ + ":2: want USER:HASH");
  EXPECT_EQ(FaultOf(good + good), path_ + ":2: the user stands here before");
  for (const char* weak :
       {"b:\n", "b:secret\n", "b:$1$abcdefgh$xyz\n", "b:aaXYZ\n", "b:{SHA}x\n"}) {
    EXPECT_THAT(FaultOf(good + weak), HasSubstr(path_ + ":2: the hash is none of crypt(5)"))
        << weak;
  }
  EXPECT_THAT(FaultOf(good + std::string(5000, 'x')), HasSubstr("a line is too long"));
  std::remove(path_.c_str());
  EXPECT_THAT(std::string(BasicAuth::Open(path_, &clock_).status().message()),
              HasSubstr("cannot be read"));
}

}  // namespace
}  // namespace hmar
