#include "server/scheduling/picture_tokens.h"

namespace hmar {
namespace {

// About what an entry costs beside its tokens: nodes, the key twice, vectors.
constexpr size_t kBytesOfBooks = 512;

size_t BytesOf(const TokenPyramid& tokens) {
  size_t bytes = kBytesOfBooks;
  for (const TokenMap& map : tokens) bytes += sizeof(TokenMap) + map.size() * sizeof(int32_t);
  return bytes;
}

}  // namespace

std::shared_ptr<const TokenPyramid> PictureTokens::Find(size_t model, const std::string& digest) {
  const auto found = by_key_.find({model, digest});
  if (found == by_key_.end()) return nullptr;
  entries_.splice(entries_.begin(), entries_, found->second);
  return found->second->tokens;
}

void PictureTokens::Insert(size_t model, const std::string& digest,
                           std::shared_ptr<const TokenPyramid> tokens) {
  const size_t bytes = BytesOf(*tokens);
  if (bytes > limit_bytes_ || Find(model, digest) != nullptr) return;
  const Key key(model, digest);
  entries_.push_front({key, std::move(tokens), bytes});
  by_key_[key] = entries_.begin();
  bytes_ += bytes;
  while (bytes_ > limit_bytes_) {
    bytes_ -= entries_.back().bytes;
    by_key_.erase(entries_.back().key);
    entries_.pop_back();
  }
}

}  // namespace hmar
