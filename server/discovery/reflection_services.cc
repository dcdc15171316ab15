#include "server/discovery/reflection_services.h"

#include <grpcpp/alarm.h>
#include <grpcpp/impl/codegen/server_callback_handlers.h>

#include <optional>
#include <set>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "grpc/reflection/v1/reflection.grpc.pb.h"
#include "grpc/reflection/v1alpha/reflection.grpc.pb.h"
#include "server/discovery/short_request.h"

namespace hmar {
namespace {

using grpc::reflection::v1::ServerReflectionResponse;
using ReflectionRequest = ShortRequest<grpc::reflection::v1::ServerReflectionRequest>;

using Files = std::vector<const google::protobuf::FileDescriptor*>;

Files WithOwn(Files files) {
  files.push_back(grpc::reflection::v1::ServerReflectionRequest::descriptor()->file());
  files.push_back(grpc::reflection::v1alpha::ServerReflectionRequest::descriptor()->file());
  return files;
}

}  // namespace

// One stream: a request is read, answered, and so on. It owns itself until gRPC is done with it;
// the alarm of a step only borrows it.
class ReflectionServices::Stream final
    : public grpc::ServerBidiReactor<ReflectionRequest, ServerReflectionResponse>,
      public std::enable_shared_from_this<Stream> {
 public:
  explicit Stream(ReflectionServices* all) : all_(all) {}

  static Stream* Start(ReflectionServices* all) {
    const auto stream = std::make_shared<Stream>(all);
    stream->self_ = stream;
    if (all->open_.fetch_add(1) >= kMaxStreams) {
      stream->Finish(grpc::Status(
          grpc::StatusCode::RESOURCE_EXHAUSTED,
          absl::StrCat("as many reflection streams are open as there may be: ", kMaxStreams)));
    } else {
      stream->Read();
    }
    return stream.get();
  }

  void OnReadDone(bool ok) override {
    if (!EndStep()) return;
    if (!ok) return Finish(grpc::Status::OK);  // The client has no more requests.
    if (!request_.status.ok()) return Finish(request_.status);
    response_ = all_->index_.Answer(request_.message, &sent_);
    absl::MutexLock lock(&mutex_);
    BeginStep();
    StartWrite(&response_);
  }

  void OnWriteDone(bool ok) override {
    if (!EndStep()) return;
    if (!ok) return Finish(grpc::Status::CANCELLED);
    response_ = ServerReflectionResponse();
    Read();
  }

  void OnDone() override {
    all_->open_.fetch_sub(1);
    self_.reset();
  }

 private:
  void Read() {
    absl::MutexLock lock(&mutex_);
    BeginStep();
    StartRead(&request_);
  }

  void BeginStep() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    step_ = ++steps_;
    alarm_.emplace();
    alarm_->Set(absl::ToChronoTime(absl::Now() + all_->step_limit_),
                [stream = weak_from_this(), step = steps_](bool rang) {
                  const std::shared_ptr<Stream> late = rang ? stream.lock() : nullptr;
                  if (late != nullptr) late->Expire(step);
                });
  }

  // False if it came too late, and the stream is ending.
  bool EndStep() {
    absl::MutexLock lock(&mutex_);
    alarm_.reset();
    return std::exchange(step_, 0) != 0;
  }

  void Expire(uint64_t step) {
    absl::MutexLock lock(&mutex_);
    if (step_ != step) return;
    step_ = 0;
    Finish(grpc::Status(grpc::StatusCode::DEADLINE_EXCEEDED,
                        absl::StrCat("nothing has come, or been read, for ",
                                     absl::FormatDuration(all_->step_limit_))));
  }

  ReflectionServices* const all_;
  std::shared_ptr<Stream> self_;
  ReflectionRequest request_;          // gRPC's while it reads.
  ServerReflectionResponse response_;  // gRPC's while it writes.
  std::set<std::string> sent_;
  absl::Mutex mutex_;
  uint64_t steps_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t step_ ABSL_GUARDED_BY(mutex_) = 0;  // The one that goes on; 0: none.
  std::optional<grpc::Alarm> alarm_ ABSL_GUARDED_BY(mutex_);
};

// The two versions' messages are the same bytes, so one set of types reads and writes both.
template <typename Api>
class ReflectionServices::Service final : public Api::Service {
 public:
  explicit Service(ReflectionServices* all) {
    using Handler =
        grpc::internal::CallbackBidiHandler<ReflectionRequest, ServerReflectionResponse>;
    this->MarkMethodCallback(
        0, new Handler([all](grpc::CallbackServerContext*) { return Stream::Start(all); }));
  }
};

ReflectionServices::ReflectionServices(const Files& files, absl::Duration step_limit)
    : index_(WithOwn(files)), step_limit_(step_limit) {
  versions_.push_back(std::make_unique<Service<grpc::reflection::v1::ServerReflection>>(this));
  versions_.push_back(std::make_unique<Service<grpc::reflection::v1alpha::ServerReflection>>(this));
}

ReflectionServices::~ReflectionServices() = default;

std::vector<grpc::Service*> ReflectionServices::services() const {
  std::vector<grpc::Service*> services;
  for (const std::unique_ptr<grpc::Service>& version : versions_) services.push_back(version.get());
  return services;
}

}  // namespace hmar
