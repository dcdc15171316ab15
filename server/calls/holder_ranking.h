#ifndef HMAR_SERVER_CALLS_HOLDER_RANKING_H_
#define HMAR_SERVER_CALLS_HOLDER_RANKING_H_

#include <cstddef>
#include <map>
#include <set>
#include <string>
#include <utility>

namespace hmar {

// Who holds most: of all principals the one whose holders do so together, and of those the one that
// does so alone. So many small holders of one principal do not hide behind another's large one.
// Changes take O(log n). Thread-compatible.
template <typename Holder>
class HolderRanking {
 public:
  // `holder`, one of `principal`'s, held `before` and holds `now`. Who holds nothing is not ranked.
  // REQUIRES: `before` is what the last call for this holder said, or 0.
  void Change(const std::string& principal, Holder* holder, size_t before, size_t now) {
    const auto found = principals_.try_emplace(principal).first;
    Principal& part = found->second;
    ranked_.erase({part.amount, &*found});
    if (before > 0) part.holders.erase({before, holder});
    if (now > 0) part.holders.emplace(now, holder);
    part.amount += now - before;  // Unsigned, and right when it shrinks, too.
    if (part.holders.empty()) {
      principals_.erase(found);
    } else {
      ranked_.emplace(part.amount, &*found);
    }
  }

  // Null: nobody holds anything.
  Holder* Most() const {
    if (ranked_.empty()) return nullptr;
    return ranked_.rbegin()->second->second.holders.rbegin()->second;
  }

  // What the principal's holders have.
  size_t HeldBy(const std::string& principal) const {
    const auto found = principals_.find(principal);
    return found == principals_.end() ? 0 : found->second.amount;
  }

  // Those whose holders have something.
  size_t principals() const { return principals_.size(); }

 private:
  struct Principal {
    size_t amount = 0;
    std::set<std::pair<size_t, Holder*>> holders;
  };
  using Named = std::pair<const std::string, Principal>;

  std::map<std::string, Principal> principals_;  // Those with holders.
  std::set<std::pair<size_t, const Named*>> ranked_;
};

}  // namespace hmar

#endif  // HMAR_SERVER_CALLS_HOLDER_RANKING_H_
