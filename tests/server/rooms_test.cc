// Which room of server/ may include from which. The linker catches what a room calls above itself;
// this catches headers that need no linking, too.

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/string_view.h"

namespace hmar {
namespace {

using Rooms = std::map<std::string, std::set<std::string>>;

// As server/README.md draws it. "" is the top.
const Rooms& MayInclude() {
  static const auto* const rooms = new Rooms{
      {"base", {}},
      {"keys", {"base"}},
      {"operations", {"base"}},
      {"uploads", {"base"}},
      {"scheduling", {"base", "operations"}},
      {"wire", {"base", "uploads", "scheduling"}},
      {"calls", {"base", "keys", "operations", "uploads", "scheduling", "wire", "transport"}},
      {"transport", {"base", "operations"}},
      {"discovery", {"base", "transport"}},
      {"http",
       {"base", "keys", "operations", "uploads", "scheduling", "wire", "calls", "transport"}},
      {"",
       {"base", "keys", "operations", "uploads", "scheduling", "wire", "calls", "transport",
        "discovery", "http"}},
  };
  return *rooms;
}

// "server/wire/request.h" to "wire", "server/options.h" to "".
std::string RoomOf(const std::string& path) {
  const size_t start = std::string("server/").size();
  const size_t slash = path.find('/', start);
  return slash == std::string::npos ? "" : path.substr(start, slash - start);
}

// The file's includes from server/.
std::set<std::string> IncludesOf(const std::filesystem::path& file) {
  constexpr absl::string_view kStart = "#include \"server/";
  std::set<std::string> includes;
  std::ifstream stream(file);
  for (std::string line; std::getline(stream, line);) {
    if (!absl::StartsWith(line, kStart)) continue;
    const std::string rest = line.substr(std::string("#include \"").size());
    includes.insert(rest.substr(0, rest.find('"')));
  }
  return includes;
}

TEST(RoomsTest, NoFileIncludesFromARoomAboveItsOwn) {
  size_t checked = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator("server")) {
    const std::string extension = entry.path().extension().string();
    if (extension != ".h" && extension != ".cc") continue;
    const std::string room = RoomOf(entry.path().string());
    ASSERT_TRUE(MayInclude().contains(room)) << "a new room: " << entry.path();
    for (const std::string& include : IncludesOf(entry.path())) {
      const std::string other = RoomOf(include);
      EXPECT_TRUE(other == room || MayInclude().at(room).contains(other))
          << entry.path() << " includes " << include;
      ++checked;
    }
  }
  EXPECT_GT(checked, 100u);  // It did look.
}

}  // namespace
}  // namespace hmar
