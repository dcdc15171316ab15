// absl::Mutex, CondVar and Notification for ThreadSanitizer. Debian's libabsl_synchronization is
// built without it, so the order that a lock makes is invisible: every field behind one would be a
// false race. The functions here take the place of the library's (a program's own come first for
// the loader), tell ThreadSanitizer of each lock and unlock, and call the library's. Linked into
// every program of a build with HMAR_SANITIZE=thread; gRPC's locks are told of, too.

#include <dlfcn.h>
#include <grpc/grpc.h>
#include <sanitizer/tsan_interface.h>

#include <cstdio>
#include <cstdlib>

#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace {

#define HMAR_TEXT(text) #text
#define HMAR_TEXT_OF(macro) HMAR_TEXT(macro)
constexpr char kNamespace[] = HMAR_TEXT_OF(ABSL_OPTION_INLINE_NAMESPACE_NAME);

// The library's function absl::NAMESPACE::`name`, where `name` is what follows in the mangled one.
void* Library(const char* name) {
  char symbol[128];
  std::snprintf(symbol, sizeof(symbol), "%zu%s%s", sizeof(kNamespace) - 1, kNamespace, name);
  char full[160];
  std::snprintf(full, sizeof(full), "_ZN4absl%s", symbol);
  void* found = dlsym(RTLD_NEXT, full);
  if (found == nullptr) {
    std::fprintf(stderr, "annotated_mutex: no %s in the libraries\n", full);
    std::abort();
  }
  return found;
}

using OnMutex = void (*)(absl::Mutex*);
using TryMutex = bool (*)(absl::Mutex*);

constexpr absl::Duration kLook = absl::Milliseconds(1);

}  // namespace

namespace absl {
ABSL_NAMESPACE_BEGIN

Mutex::~Mutex() {
  static const auto destroy = reinterpret_cast<OnMutex>(Library("5MutexD1Ev"));
  __tsan_mutex_destroy(this, __tsan_mutex_not_static);
  destroy(this);
}

void Mutex::Lock() {
  static const auto lock = reinterpret_cast<OnMutex>(Library("5Mutex4LockEv"));
  __tsan_mutex_pre_lock(this, 0);
  lock(this);
  __tsan_mutex_post_lock(this, 0, 0);
}

void Mutex::Unlock() {
  static const auto unlock = reinterpret_cast<OnMutex>(Library("5Mutex6UnlockEv"));
  __tsan_mutex_pre_unlock(this, 0);
  unlock(this);
  __tsan_mutex_post_unlock(this, 0);
}

bool Mutex::TryLock() {
  static const auto try_lock = reinterpret_cast<TryMutex>(Library("5Mutex7TryLockEv"));
  __tsan_mutex_pre_lock(this, __tsan_mutex_try_lock);
  const bool locked = try_lock(this);
  __tsan_mutex_post_lock(this, __tsan_mutex_try_lock | (locked ? 0 : __tsan_mutex_try_lock_failed),
                         0);
  return locked;
}

void Mutex::ReaderLock() {
  static const auto lock = reinterpret_cast<OnMutex>(Library("5Mutex10ReaderLockEv"));
  __tsan_mutex_pre_lock(this, __tsan_mutex_read_lock);
  lock(this);
  __tsan_mutex_post_lock(this, __tsan_mutex_read_lock, 0);
}

void Mutex::ReaderUnlock() {
  static const auto unlock = reinterpret_cast<OnMutex>(Library("5Mutex12ReaderUnlockEv"));
  __tsan_mutex_pre_unlock(this, __tsan_mutex_read_lock);
  unlock(this);
  __tsan_mutex_post_unlock(this, __tsan_mutex_read_lock);
}

// The library lets whoever unlocks look at the conditions of others, which no annotation could
// tell. So here a waiter looks for itself, every millisecond.
bool Mutex::AwaitWithDeadline(const Condition& condition, Time deadline) {
  while (!condition.Eval()) {
    if (absl::Now() >= deadline) return false;
    Unlock();
    absl::SleepFor(kLook);
    Lock();
  }
  return true;
}

void Mutex::Await(const Condition& condition) { AwaitWithDeadline(condition, InfiniteFuture()); }

bool Mutex::AwaitWithTimeout(const Condition& condition, Duration timeout) {
  return AwaitWithDeadline(condition, absl::Now() + timeout);
}

void Mutex::LockWhen(const Condition& condition) {
  Lock();
  Await(condition);
}

bool Mutex::LockWhenWithDeadline(const Condition& condition, Time deadline) {
  Lock();
  return AwaitWithDeadline(condition, deadline);
}

bool Mutex::LockWhenWithTimeout(const Condition& condition, Duration timeout) {
  Lock();
  return AwaitWithTimeout(condition, timeout);
}

// A wait unlocks and locks again. (Its library's overload with a timeout makes a deadline of it.)
void CondVar::Wait(Mutex* mutex) {
  static const auto wait =
      reinterpret_cast<void (*)(CondVar*, Mutex*)>(Library("7CondVar4WaitEPNS0_5MutexE"));
  __tsan_mutex_pre_unlock(mutex, 0);
  __tsan_mutex_post_unlock(mutex, 0);
  wait(this, mutex);
  __tsan_mutex_pre_lock(mutex, 0);
  __tsan_mutex_post_lock(mutex, 0, 0);
}

bool CondVar::WaitWithDeadline(Mutex* mutex, Time deadline) {
  static const auto wait = reinterpret_cast<bool (*)(CondVar*, Mutex*, Time)>(
      Library("7CondVar16WaitWithDeadlineEPNS0_5MutexENS0_4TimeE"));
  __tsan_mutex_pre_unlock(mutex, 0);
  __tsan_mutex_post_unlock(mutex, 0);
  const bool expired = wait(this, mutex, deadline);
  __tsan_mutex_pre_lock(mutex, 0);
  __tsan_mutex_post_lock(mutex, 0, 0);
  return expired;
}

bool CondVar::WaitWithTimeout(Mutex* mutex, Duration timeout) {
  return WaitWithDeadline(mutex, absl::Now() + timeout);
}

// A Notification's flag is read without its lock, so both sides have to be built here.
void Notification::Notify() {
  MutexLock lock(&mutex_);
  notified_yet_.store(true, std::memory_order_release);
}

bool Notification::WaitForNotificationWithDeadline(Time deadline) const {
  if (HasBeenNotifiedInternal(&notified_yet_)) return true;
  MutexLock lock(&mutex_);
  return mutex_.AwaitWithDeadline(Condition(&HasBeenNotifiedInternal, &notified_yet_), deadline);
}

bool Notification::WaitForNotificationWithTimeout(Duration timeout) const {
  return WaitForNotificationWithDeadline(absl::Now() + timeout);
}

void Notification::WaitForNotification() const {
  WaitForNotificationWithDeadline(InfiniteFuture());
}

ABSL_NAMESPACE_END
}  // namespace absl

// gRPC hands a call from thread to thread by atomics of its own. What its C++ side does with every
// batch stands for that: the start of one comes before the end of any later one of the same call.
extern "C" {

grpc_call_error grpc_call_start_batch(grpc_call* call, const grpc_op* ops, size_t count, void* tag,
                                      void* reserved) {
  static const auto start =
      reinterpret_cast<decltype(&grpc_call_start_batch)>(dlsym(RTLD_NEXT, "grpc_call_start_batch"));
  __tsan_release(call);
  return start(call, ops, count, tag, reserved);
}

void grpc_call_unref(grpc_call* call) {
  static const auto unref =
      reinterpret_cast<decltype(&grpc_call_unref)>(dlsym(RTLD_NEXT, "grpc_call_unref"));
  __tsan_acquire(call);
  unref(call);
}

}  // extern "C"
