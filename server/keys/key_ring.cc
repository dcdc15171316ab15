#include "server/keys/key_ring.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "model/status_macros.h"
#include "server/base/errors.h"
#include "server/keys/key_file.h"

namespace hmar {
namespace {

constexpr absl::string_view kScheme = "Bearer ";
constexpr size_t kMaxKeyBytes = 256;  // Longer is none of ours, and not worth hashing.

std::optional<KeyHash> HashOf(absl::string_view key) {
  KeyHash hash;
  const int done = EVP_Digest(key.data(), key.size(), hash.data(), nullptr, EVP_sha256(), nullptr);
  return done == 1 ? std::optional(hash) : std::nullopt;
}

// The key of "Bearer KEY"; empty: it is something else.
absl::string_view KeyIn(absl::string_view header) {
  if (!absl::StartsWithIgnoreCase(header, kScheme)) return "";
  return absl::StripAsciiWhitespace(header.substr(kScheme.size()));
}

// 1 or 0, without a branch on what is compared.
int Opens(const Key& key, const KeyHash& shown) {
  int opens = 0;
  for (const KeyHash& hash : key.hashes) {
    opens |= CRYPTO_memcmp(hash.data(), shown.data(), shown.size()) == 0 ? 1 : 0;
  }
  return opens;
}

}  // namespace

absl::Status KeyHolder::CheckModel(const std::string& model) const {
  if (!key.models.has_value()) return absl::OkStatus();
  if (std::find(key.models->begin(), key.models->end(), model) != key.models->end()) {
    return absl::OkStatus();
  }
  return ErrorOf(Reason::kModelNotAllowed,
                 absl::StrCat("key ", key.name, " may not use model ", model, "; it may use ",
                              absl::StrJoin(*key.models, ", ")));
}

absl::Status KeyHolder::CheckPriority(int priority) const {
  if (priority <= key.max_priority.value_or(priority)) return absl::OkStatus();
  return ErrorOf(Reason::kPriorityNotAllowed,
                 absl::StrCat("key ", key.name, " may not ask for priority ", priority,
                              "; at most ", *key.max_priority));
}

absl::Status KeyHolder::TakeImages(uint32_t images, ImageAllowance::Ticket* ticket) const {
  const std::optional<absl::Duration> wait = allowance->Take(images, ticket);
  if (!wait.has_value()) return absl::OkStatus();
  return RetryAfter(
      WithQuota(ErrorOf(Reason::kQuotaImages,
                        absl::StrCat("key ", key.name, " may make ", allowance->most().value_or(0),
                                     " images a minute; the request has ", images)),
                absl::StrCat("key:", key.name)),
      *wait);
}

absl::StatusOr<std::unique_ptr<KeyRing>> KeyRing::Open(const std::string& path,
                                                       std::vector<std::string> models,
                                                       const Clock* clock, const Clock* steady) {
  auto ring = std::unique_ptr<KeyRing>(new KeyRing(path, std::move(models), clock, steady));
  HMAR_RETURN_IF_ERROR(ring->Reload().status());
  return ring;
}

KeyRing::KeyRing(std::string path, std::vector<std::string> models, const Clock* clock,
                 const Clock* steady)
    : path_(std::move(path)),
      models_(std::move(models)),
      clock_(*clock),
      steady_(*steady),
      holders_(std::make_shared<const Holders>()) {}

absl::StatusOr<std::string> KeyRing::Reload() {
  absl::MutexLock one_at_a_time(&reload_mutex_);
  HMAR_ASSIGN_OR_RETURN(std::vector<Key> keys, ReadKeys(path_, models_));
  const std::shared_ptr<const Holders> before = holders();
  auto now = std::make_shared<Holders>();
  for (Key& key : keys) {
    auto holder = std::make_shared<KeyHolder>();
    holder->allowance = AllowanceOf(key, *before);
    holder->key = std::move(key);
    now->push_back(std::move(holder));
  }
  const size_t count = now->size();
  absl::MutexLock lock(&mutex_);
  holders_ = std::move(now);
  return absl::StrCat("read ", path_, ", keys: ", count);
}

std::shared_ptr<ImageAllowance> KeyRing::AllowanceOf(const Key& key, const Holders& before) const {
  for (const std::shared_ptr<const KeyHolder>& holder : before) {
    if (holder->key.name != key.name) continue;
    holder->allowance->SetRate(key.images_per_minute);
    return holder->allowance;
  }
  return std::make_shared<ImageAllowance>(key.images_per_minute, &steady_);
}

absl::StatusOr<std::shared_ptr<const KeyHolder>> KeyRing::Identify(
    absl::Span<const std::string> authorization) const {
  const absl::string_view key =
      authorization.size() == 1 ? KeyIn(authorization.front()) : absl::string_view();
  if (key.empty()) {
    return ErrorOf(Reason::kKeyMissing,
                   authorization.size() > 1
                       ? absl::StrCat(authorization.size(), " authorization headers; send one")
                       : "send a key: authorization: Bearer KEY");
  }
  const std::optional<KeyHash> hash = key.size() <= kMaxKeyBytes ? HashOf(key) : std::nullopt;
  if (!hash.has_value()) return ErrorOf(Reason::kKeyUnknown, "the key is none of this server's");
  // All of them, also behind the right one.
  const std::shared_ptr<const Holders> holders = this->holders();
  std::shared_ptr<const KeyHolder> found;
  for (const std::shared_ptr<const KeyHolder>& holder : *holders) {
    if (Opens(holder->key, *hash) != 0) found = holder;
  }
  if (found == nullptr) {
    return ErrorOf(Reason::kKeyUnknown, "the key is none of this server's");
  }
  if (clock_.Now() >= found->key.expires) {
    return ErrorOf(
        Reason::kKeyExpired,
        absl::StrCat("key ", found->key.name, " has expired at ",
                     absl::FormatTime(absl::RFC3339_sec, found->key.expires, absl::UTCTimeZone())));
  }
  return found;
}

std::vector<std::string> KeyRing::names() const {
  std::vector<std::string> names;
  for (const std::shared_ptr<const KeyHolder>& holder : *holders()) {
    names.push_back(holder->key.name);
  }
  return names;
}

std::shared_ptr<const KeyRing::Holders> KeyRing::holders() const {
  absl::MutexLock lock(&mutex_);
  return holders_;
}

}  // namespace hmar
