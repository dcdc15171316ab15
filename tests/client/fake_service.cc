#include "tests/client/fake_service.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "client/client.h"
#include "client/png_codec.h"
#include "grpcpp/health_check_service_interface.h"
#include "tests/server/uploads/picture_maker.h"

namespace hmar {
namespace {

v1::Model CifarLikeModel() {
  v1::Model model;
  model.set_name("tiny");
  model.set_architecture("hmar");
  model.set_digest("0123456789abcdef0123");
  model.set_image_size(8);
  model.add_classes("cat");
  model.add_classes("ship");
  model.add_class_infos()->set_name("cat");
  model.mutable_class_infos(0)->add_aliases("kitty");
  model.mutable_class_infos(0)->add_aliases("n02121620");
  model.add_class_infos()->set_name("ship");
  for (const uint32_t side : {1, 2, 4}) model.add_patch_nums(side);
  model.set_is_default(true);
  model.add_devices("cpu");
  model.set_precision("fp32");
  model.set_parameters(1'500'000);
  return model;
}

// Writes a script's events one by one, then ends or hangs. Deletes itself when gRPC is done with
// it.
class StreamReactor final : public grpc::ServerWriteReactor<v1::GenerateResponse> {
 public:
  StreamReactor(Script script, absl::Notification& events_sent, absl::Notification& cancelled)
      : script_(std::move(script)), events_sent_(events_sent), cancelled_(cancelled) {
    Continue();
  }

  void OnWriteDone(bool ok) override {
    if (ok) {
      Continue();
    } else {
      FinishOnce(grpc::Status::CANCELLED);
    }
  }
  void OnCancel() override {
    if (!script_.hang) return;
    cancelled_.Notify();
    FinishOnce(grpc::Status::CANCELLED);
  }
  void OnDone() override { delete this; }

 private:
  void Continue() {
    if (next_ < script_.events.size()) {
      StartWrite(&script_.events[next_++]);
    } else if (script_.more && script_.more(more_++, event_)) {
      StartWrite(&event_);
    } else if (script_.hang) {
      events_sent_.Notify();
    } else {
      FinishOnce(script_.status);
    }
  }

  void FinishOnce(const grpc::Status& status) {
    {
      absl::MutexLock lock(&mutex_);
      if (std::exchange(finished_, true)) return;
    }
    Finish(status);
  }

  const Script script_;
  absl::Notification& events_sent_;
  absl::Notification& cancelled_;
  size_t next_ = 0;             // Of the script's events.
  size_t more_ = 0;             // Of those it makes.
  v1::GenerateResponse event_;  // The one on its way.
  absl::Mutex mutex_;
  bool finished_ ABSL_GUARDED_BY(mutex_) = false;
};

grpc::ServerUnaryReactor* Reply(grpc::CallbackServerContext* context, const grpc::Status& status) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  reactor->Finish(status);
  return reactor;
}

std::string UploadIn(const grpc::CallbackServerContext& context) {
  const auto found = context.client_metadata().find("x-hmar-upload");
  if (found == context.client_metadata().end()) return "";
  return {found->second.data(), found->second.size()};
}

}  // namespace

void FakeService::SetScript(Script script) {
  absl::MutexLock lock(&mutex_);
  script_ = std::move(script);
}

void FakeService::SetFirstScripts(std::vector<Script> scripts) {
  absl::MutexLock lock(&mutex_);
  first_scripts_.assign(scripts.begin(), scripts.end());
}

Script FakeService::NextScript() {
  if (first_scripts_.empty()) return script_;
  Script script = std::move(first_scripts_.front());
  first_scripts_.pop_front();
  return script;
}

std::string FakeService::last_upload() const {
  absl::MutexLock lock(&mutex_);
  return last_upload_;
}

v1::GenerateRequest FakeService::last_request() const {
  absl::MutexLock lock(&mutex_);
  return last_request_;
}

grpc::ServerWriteReactor<v1::GenerateResponse>* FakeService::Generate(
    grpc::CallbackServerContext* context, const v1::GenerateRequest* request) {
  absl::MutexLock lock(&mutex_);
  last_request_ = *request;
  last_upload_ = UploadIn(*context);
  return new StreamReactor(NextScript(), events_sent_, cancelled_);
}

grpc::ServerUnaryReactor* FakeService::GenerateImages(grpc::CallbackServerContext* context,
                                                      const v1::GenerateImagesRequest* request,
                                                      v1::GenerateImagesResponse* response) {
  absl::MutexLock lock(&mutex_);
  last_request_ = request->request();
  last_upload_ = UploadIn(*context);
  const Script script = NextScript();
  for (const v1::GenerateResponse& event : script.events) {
    if (event.has_accepted()) *response->mutable_accepted() = event.accepted();
    if (event.has_image()) *response->add_images() = event.image();
    if (event.has_completed()) *response->mutable_completed() = event.completed();
  }
  return Reply(context, script.status);
}

grpc::ServerUnaryReactor* FakeService::ListModels(grpc::CallbackServerContext* context,
                                                  const v1::ListModelsRequest*,
                                                  v1::ListModelsResponse* response) {
  absl::MutexLock lock(&mutex_);
  if (script_.models) {
    *response = *script_.models;
  } else {
    *response->add_models() = CifarLikeModel();
  }
  return Reply(context, grpc::Status::OK);
}

grpc::ServerUnaryReactor* FakeService::GetModel(grpc::CallbackServerContext* context,
                                                const v1::GetModelRequest* request,
                                                v1::GetModelResponse* response) {
  if (!request->name().empty() && request->name() != "tiny") {
    return Reply(context, {grpc::StatusCode::NOT_FOUND, "no such model"});
  }
  *response->mutable_model() = CifarLikeModel();
  return Reply(context, grpc::Status::OK);
}

FakeServer::FakeServer() {
  grpc::EnableDefaultHealthCheckService(true);
  grpc::ServerBuilder builder;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port_);
  builder.RegisterService(&service_);
  server_ = builder.BuildAndStart();
  SetReady(false);
}

FakeServer::~FakeServer() { server_->Shutdown(); }

std::string FakeServer::address() const { return absl::StrCat("127.0.0.1:", port_); }

void FakeServer::SetReady(bool ready) {
  server_->GetHealthCheckService()->SetServingStatus(kReadinessService, ready);
}

Picture Square(uint32_t side, uint8_t red) {
  Picture picture{side, side, {}};
  for (uint32_t i = 0; i < side * side; ++i) {
    picture.rgb.insert(picture.rgb.end(), {red, 100, 200});
  }
  return picture;
}

v1::Picture MakePicture(const Picture& pixels, v1::OutputOptions::Format format) {
  v1::Picture picture;
  picture.set_format(format);
  picture.set_width(pixels.width);
  picture.set_height(pixels.height);
  if (format == v1::OutputOptions::FORMAT_RGB8) {
    picture.set_data(pixels.rgb.data(), pixels.rgb.size());
  } else if (format == v1::OutputOptions::FORMAT_JPEG) {
    picture.set_data(MakeJpeg({.width = pixels.width, .height = pixels.height}, pixels.rgb));
    picture.set_lossy(true);
  } else if (format == v1::OutputOptions::FORMAT_WEBP) {
    picture.set_data(MakeWebp({.width = pixels.width, .height = pixels.height}, pixels.rgb));
    picture.set_lossy(true);
  } else {
    picture.set_data(EncodePng(pixels).value());
  }
  return picture;
}

std::vector<v1::GenerateResponse> StreamOf(uint32_t images, uint64_t seed,
                                           v1::OutputOptions::Format format, Previews previews) {
  std::vector<v1::GenerateResponse> events(1);
  events[0].mutable_accepted()->set_request_id("r-1");
  events[0].mutable_accepted()->set_model("tiny");
  events[0].mutable_accepted()->set_seed(seed);
  for (uint32_t scale = 0; previews != Previews::kNone && scale < 2; ++scale) {
    for (uint32_t i = 0; i < images; ++i) {
      v1::Preview& preview = *events.emplace_back().mutable_preview();
      preview.set_image_index(i);
      preview.set_scale(scale);
      preview.set_num_scales(3);
      preview.set_grid(1U << scale);
      *preview.mutable_picture() =
          MakePicture(Square(4, static_cast<uint8_t>(10 * i + scale)), format);
    }
  }
  for (uint32_t i = images; i-- > 0;) {  // The last first: images finish in any order.
    v1::Image& image = *events.emplace_back().mutable_image();
    image.set_image_index(i);
    image.set_seed(seed + i);
    *image.mutable_picture() = MakePicture(Square(8, static_cast<uint8_t>(10 * i + 2)), format);
    image.add_tokens()->add_tokens(i);
    image.add_tokens()->mutable_tokens()->Resize(4, 7);
    image.mutable_receipt()->set_request_id("r-1");
    image.mutable_receipt()->set_seed(seed + i);
  }
  events.emplace_back().mutable_completed()->set_images(images);
  return events;
}

}  // namespace hmar
