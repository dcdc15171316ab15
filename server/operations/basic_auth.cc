#include "server/operations/basic_auth.h"

#include <crypt.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>

#include <algorithm>
#include <fstream>
#include <utility>

#include "absl/strings/str_cat.h"
#include "model/status_macros.h"

namespace hmar {
namespace {

constexpr size_t kMaxUsers = 1024;
constexpr size_t kMaxLineBytes = 1024;
constexpr size_t kMaxPasswordBytes = 512;
constexpr double kTriesASecond = 4;

bool IsCrypt(const std::string& hash) { return crypt_checksalt(hash.c_str()) == CRYPT_SALT_OK; }

// Whether the slow hash of `password` is `hash`. Tens of milliseconds.
bool IsPassword(const std::string& password, const std::string& hash) {
  const auto state = std::make_unique<crypt_data>();
  const char* const made = crypt_r(password.c_str(), hash.c_str(), state.get());
  if (made == nullptr || made[0] == '*') return false;
  const absl::string_view text = made;
  return text.size() == hash.size() && CRYPTO_memcmp(text.data(), hash.data(), hash.size()) == 0;
}

absl::Status Fault(const std::string& path, size_t line, absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat(path, ":", line, ": ", what));
}

// By user.
absl::StatusOr<std::map<std::string, std::string>> ReadUsers(const std::string& path) {
  std::ifstream file(path);
  if (!file) return absl::InvalidArgumentError(absl::StrCat(path, ": cannot be read"));
  std::map<std::string, std::string> users;
  std::string text(kMaxLineBytes, '\0');
  for (size_t line = 1; file.getline(text.data(), kMaxLineBytes); ++line) {
    const std::string entry = text.c_str();
    if (entry.empty() || entry.front() == '#') continue;
    const size_t colon = entry.find(':');
    if (colon == std::string::npos || colon == 0) return Fault(path, line, "want USER:HASH");
    const std::string hash = entry.substr(colon + 1);
    if (!IsCrypt(hash)) {
      return Fault(path, line,
                   "the hash is none of crypt(5), or of a weak kind; htpasswd -B makes good ones");
    }
    if (!users.emplace(entry.substr(0, colon), hash).second) {
      return Fault(path, line, "the user stands here before");
    }
    if (users.size() > kMaxUsers) {
      return Fault(path, line, absl::StrCat("more than ", kMaxUsers, " users"));
    }
  }
  if (!file.eof()) return absl::InvalidArgumentError(absl::StrCat(path, ": a line is too long"));
  if (users.empty()) return absl::InvalidArgumentError(absl::StrCat(path, ": no user"));
  return users;
}

}  // namespace

absl::StatusOr<std::unique_ptr<BasicAuth>> BasicAuth::Open(const std::string& path,
                                                           const Clock* clock) {
  auto auth = std::unique_ptr<BasicAuth>(new BasicAuth(path, clock));
  HMAR_RETURN_IF_ERROR(auth->Reload().status());
  return auth;
}

absl::StatusOr<std::string> BasicAuth::Reload() {
  HMAR_ASSIGN_OR_RETURN(const auto users, ReadUsers(path_));
  absl::MutexLock lock(&mutex_);
  std::map<std::string, User, std::less<>> before = std::exchange(users_, {});
  for (const auto& [name, hash] : users) {
    const auto known = before.find(name);
    const bool same = known != before.end() && known->second.hash == hash;
    users_[name] = same ? std::move(known->second) : User{hash};
  }
  return absl::StrCat("read ", path_, ", users: ", users_.size());
}

BasicAuth::Answer BasicAuth::Check(absl::string_view user, absl::string_view password) {
  Digest digest;
  if (password.size() > kMaxPasswordBytes || password.find('\0') != absl::string_view::npos ||
      EVP_Digest(password.data(), password.size(), digest.data(), nullptr, EVP_sha256(), nullptr) !=
          1) {
    return Answer::kNo;
  }
  std::string hash;
  {
    absl::MutexLock lock(&mutex_);
    const auto found = users_.find(std::string(user));
    if (found == users_.end()) return Answer::kNo;
    const User& known = found->second;
    if (known.known && CRYPTO_memcmp(known.digest.data(), digest.data(), digest.size()) == 0) {
      return Answer::kYes;
    }
    if (!MayTry()) return Answer::kTooMany;
    hash = known.hash;
  }
  if (!IsPassword(std::string(password), hash)) return Answer::kNo;
  absl::MutexLock lock(&mutex_);
  const auto found = users_.find(std::string(user));
  if (found == users_.end() || found->second.hash != hash) return Answer::kNo;  // Reloaded since.
  found->second.known = true;
  found->second.digest = digest;
  return Answer::kYes;
}

bool BasicAuth::MayTry() {
  const absl::Time now = clock_.Now();
  const double since = absl::ToDoubleSeconds(now - counted_at_);
  tries_ = std::min(kTriesASecond, tries_ + kTriesASecond * since);
  counted_at_ = now;
  if (tries_ < 1) return false;
  tries_ -= 1;
  return true;
}

}  // namespace hmar
