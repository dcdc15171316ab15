#include "tests/client/load/answering_service.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "tests/client/fake_service.h"

namespace hmar::load {
namespace {

grpc::Status QueueFull() {
  google::rpc::ErrorInfo info;
  info.set_domain("hmar.v1");
  info.set_reason("QUEUE_FULL");
  google::rpc::Status details;
  details.set_code(grpc::StatusCode::RESOURCE_EXHAUSTED);
  details.add_details()->PackFrom(info);
  return {grpc::StatusCode::RESOURCE_EXHAUSTED, "full", details.SerializeAsString()};
}

}  // namespace

// Counts a call for as long as it is open.
class AnsweringService::OpenCall {
 public:
  OpenCall(AnsweringService& service, const grpc::ServerContext& context,
           const v1::GenerateRequest& request)
      : service_(service) {
    const auto& metadata = context.client_metadata();
    const auto forwarded = metadata.find("x-forwarded-for");
    absl::MutexLock lock(&service.mutex_);
    service.peak_open_ = std::max(service.peak_open_, ++service.open_);
    service.calls_.push_back({request,
                              forwarded == metadata.end()
                                  ? ""
                                  : std::string(forwarded->second.data(), forwarded->second.size()),
                              absl::FromChrono(context.deadline()) - absl::Now()});
  }
  ~OpenCall() {
    absl::MutexLock lock(&service_.mutex_);
    --service_.open_;
  }
  OpenCall(const OpenCall&) = delete;
  OpenCall& operator=(const OpenCall&) = delete;

 private:
  AnsweringService& service_;
};

std::vector<v1::GenerateResponse> AnsweringService::EventsFor(const v1::GenerateRequest& request) {
  auto events =
      StreamOf(std::max(request.num_images(), 1U), request.seed(), request.output().format(),
               request.has_previews() ? Previews::kAllButTheLast : Previews::kNone);
  events.front().mutable_accepted()->mutable_estimated_time()->set_seconds(1);
  const std::string& model = request.model();
  absl::MutexLock lock(&mutex_);
  for (v1::GenerateResponse& event : events) {
    if (!event.has_image()) continue;
    if (model == "moody" || model == "degraded") {
      *event.mutable_image()->mutable_picture() =
          MakePicture(Square(8, mood_++), request.output().format());
    }
    event.mutable_image()->set_degraded(model == "degraded");
    if (model == "lying") event.mutable_image()->set_image_index(99);
  }
  return events;
}

void AnsweringService::Hang() {
  absl::MutexLock lock(&mutex_);
  mutex_.Await(absl::Condition(&released_));
}

grpc::Status AnsweringService::Generate(grpc::ServerContext* context,
                                        const v1::GenerateRequest* request,
                                        grpc::ServerWriter<v1::GenerateResponse>* writer) {
  const OpenCall open(*this, *context, *request);
  if (request->model() == "full") return QueueFull();
  for (const v1::GenerateResponse& event : EventsFor(*request)) {
    writer->Write(event);
    if (request->model() == "hang") Hang();
  }
  return grpc::Status::OK;
}

grpc::Status AnsweringService::GenerateImages(grpc::ServerContext* context,
                                              const v1::GenerateImagesRequest* request,
                                              v1::GenerateImagesResponse* response) {
  const OpenCall open(*this, *context, request->request());
  for (const v1::GenerateResponse& event : EventsFor(request->request())) {
    if (event.has_accepted()) *response->mutable_accepted() = event.accepted();
    if (event.has_image()) *response->add_images() = event.image();
    if (event.has_completed()) *response->mutable_completed() = event.completed();
  }
  return grpc::Status::OK;
}

grpc::Status AnsweringService::GetModel(grpc::ServerContext*, const v1::GetModelRequest* request,
                                        v1::GetModelResponse* response) {
  if (request->name() == "unknown") return {grpc::StatusCode::NOT_FOUND, "no such model"};
  response->mutable_model()->set_name("tiny");
  response->mutable_model()->set_image_size(request->name() == "huge" ? 1 << 30 : 8);
  response->mutable_model()->add_classes("cat");
  response->mutable_model()->add_classes("ship");
  return grpc::Status::OK;
}

std::vector<ReceivedCall> AnsweringService::calls() const {
  absl::MutexLock lock(&mutex_);
  return calls_;
}

int AnsweringService::peak_open() const {
  absl::MutexLock lock(&mutex_);
  return peak_open_;
}

void AnsweringService::WaitForOpen(int calls) {
  absl::MutexLock lock(&mutex_);
  const auto open = [this, calls]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return open_ >= calls; };
  mutex_.Await(absl::Condition(&open));
}

void AnsweringService::Release() {
  absl::MutexLock lock(&mutex_);
  released_ = true;
}

AnsweringServer::AnsweringServer() {
  grpc::ServerBuilder builder;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port_);
  builder.RegisterService(&service_);
  server_ = builder.BuildAndStart();
}

AnsweringServer::~AnsweringServer() {
  service_.Release();
  server_->Shutdown();
}

std::string AnsweringServer::address() const { return absl::StrCat("127.0.0.1:", port_); }

}  // namespace hmar::load
