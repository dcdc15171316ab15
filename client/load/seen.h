#ifndef HMAR_CLIENT_LOAD_SEEN_H_
#define HMAR_CLIENT_LOAD_SEEN_H_

#include <cstdint>
#include <map>
#include <string>

#include "client/load/call_result.h"

namespace hmar::load {

// What of a load must be right, and counted by the server, too: every call, those of the warm-up as
// well. Plain data. A call's own end is the server's word where it is OK or has a reason; where
// this side ended it, or the connection, the server may have ended it otherwise.
struct Seen {
  std::map<std::string, uint64_t> by_code;  // Calls that ended by the server's word.
  uint64_t doubtful = 0;                    // The other calls.
  uint64_t images = 0;                      // That came.
  uint64_t doubtful_images = 0;             // That were asked for and did not come.
  uint64_t mismatched = 0;                  // Calls with other bytes than those before.
  uint64_t no_answers = 0;                  // Calls whose answer does not belong to the request.

  void Add(const CallResult& result) {
    images += result.images.size();
    doubtful_images += result.images_asked - result.images.size();
    mismatched += result.mismatched > 0 ? 1 : 0;
    no_answers += result.no_answer ? 1 : 0;
    const bool servers_word = result.end == CallEnd::kServer && !result.no_answer &&
                              (result.status.ok() || !result.reason.empty());
    if (servers_word) {
      ++by_code[absl::StatusCodeToString(result.status.code())];
    } else {
      ++doubtful;
    }
  }

  void Add(const Seen& other) {
    for (const auto& [code, calls] : other.by_code) by_code[code] += calls;
    doubtful += other.doubtful;
    images += other.images;
    doubtful_images += other.doubtful_images;
    mismatched += other.mismatched;
    no_answers += other.no_answers;
  }
};

}  // namespace hmar::load

#endif  // HMAR_CLIENT_LOAD_SEEN_H_
