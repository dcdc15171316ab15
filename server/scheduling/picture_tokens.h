#ifndef HMAR_SERVER_SCHEDULING_PICTURE_TOKENS_H_
#define HMAR_SERVER_SCHEDULING_PICTURE_TOKENS_H_

#include <cstddef>
#include <list>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "model/engine.h"

namespace hmar {

// The tokens of uploaded pictures, so that variations, retries and further edits of a picture are
// not encoded again. By content: an entry is found only by who holds the very pixels, so nothing of
// one client's picture reaches another. Beyond the limit the least recently used go. Thread-
// compatible.
class PictureTokens {
 public:
  // 0: keeps nothing.
  explicit PictureTokens(size_t limit_bytes) : limit_bytes_(limit_bytes) {}

  // Null: not here. `digest` is the picture's (EditPicture::digest).
  std::shared_ptr<const TokenPyramid> Find(size_t model, const std::string& digest);

  // Keeps `tokens`, which may push out others.
  void Insert(size_t model, const std::string& digest, std::shared_ptr<const TokenPyramid> tokens);

  size_t bytes() const { return bytes_; }

 private:
  using Key = std::pair<size_t, std::string>;  // Model and digest.
  struct Entry {
    Key key;
    std::shared_ptr<const TokenPyramid> tokens;
    size_t bytes = 0;  // With the books.
  };

  const size_t limit_bytes_;
  size_t bytes_ = 0;
  std::list<Entry> entries_;  // The most recently used first.
  std::map<Key, std::list<Entry>::iterator> by_key_;
};

}  // namespace hmar

#endif  // HMAR_SERVER_SCHEDULING_PICTURE_TOKENS_H_
