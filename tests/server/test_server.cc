#include "tests/server/test_server.h"

#include <grpcpp/create_channel.h>
#include <spdlog/logger.h>
#include <spdlog/sinks/base_sink.h>
#include <spdlog/sinks/null_sink.h>

#include <deque>
#include <utility>

#include "absl/strings/str_cat.h"
#include "grpc/health/v1/health.grpc.pb.h"
#include "gtest/gtest.h"

namespace hmar {

class TestServer::LineSink final : public spdlog::sinks::sink {
 public:
  void log(const spdlog::details::log_msg& message) override {
    absl::MutexLock lock(&mutex_);
    lines_.emplace_back(message.payload.data(), message.payload.size());
  }
  void flush() override {}
  void set_pattern(const std::string&) override {}
  void set_formatter(std::unique_ptr<spdlog::formatter>) override {}

  std::string Next() {
    const auto has_line = [this]()
                              ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return !lines_.empty(); };
    absl::MutexLock lock(&mutex_);
    if (!mutex_.AwaitWithTimeout(absl::Condition(&has_line), kPatience)) return "";
    std::string line = std::move(lines_.front());
    lines_.pop_front();
    return line;
  }

  std::vector<std::string> TakeAll() {
    absl::MutexLock lock(&mutex_);
    std::vector<std::string> lines(lines_.begin(), lines_.end());
    lines_.clear();
    return lines;
  }

 private:
  absl::Mutex mutex_;
  std::deque<std::string> lines_ ABSL_GUARDED_BY(mutex_);
};

TestServer::TestServer(TestServerOptions options) : access_lines_(std::make_shared<LineSink>()) {
  options.server.models.clear();
  for (const EngineInfo& info : options.models) {
    options.server.models.push_back(info.config.name + "=unused");
  }
  ServerDependencies dependencies;
  dependencies.clock = &clock_;
  dependencies.random = &random_;
  dependencies.log =
      std::make_shared<spdlog::logger>("test", std::make_shared<spdlog::sinks::null_sink_mt>());
  dependencies.access = std::make_shared<spdlog::logger>("access", access_lines_);
  dependencies.on_fatal = [this](const absl::Status& status) {
    absl::MutexLock lock(&mutex_);
    fatal_ = status;
  };
  dependencies.make_engine = [this, &options](const ModelSpec& spec, const Device& device,
                                              const ServerOptions&) {
    return MakeEngine(options, spec, device);
  };
  auto server = Server::Start(options.server, std::move(dependencies));
  if (!server.ok()) {
    ADD_FAILURE() << server.status();
    std::abort();  // No test can go on, and its destructor would only hide why.
  }
  server_ = *std::move(server);
  channel_ = NewChannel();
  stub_ = v1::ImageGenerationService::NewStub(channel_);
  EXPECT_TRUE(options.gate_closed || AwaitHealth(true));
}

absl::StatusOr<std::unique_ptr<Engine>> TestServer::MakeEngine(const TestServerOptions& options,
                                                               const ModelSpec& spec,
                                                               const Device& device) {
  size_t model = 0;
  while (options.models[model].config.name != spec.name) ++model;
  EngineInfo info = options.models[model];
  info.device = device.name;
  info.memory = options.memory;
  auto engine = std::make_unique<FakeEngine>(std::move(info), options.faults);
  if (options.gate_closed) engine->CloseGate();
  absl::MutexLock lock(&mutex_);  // Devices load side by side.
  engines_[{device.name, model}] = engine.get();
  return engine;
}

TestServer::~TestServer() {
  for (const auto& [place, engine] : engines_) engine->OpenGate();
  server_->Drain(kPatience);
}

std::shared_ptr<grpc::Channel> TestServer::NewChannel() const {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  arguments.SetMaxReceiveMessageSize(-1);
  return grpc::CreateCustomChannel(absl::StrCat("127.0.0.1:", server_->port()),
                                   grpc::InsecureChannelCredentials(), arguments);
}

bool TestServer::AwaitHealth(bool serving) const {
  using grpc::health::v1::HealthCheckResponse;
  const auto wanted = serving ? HealthCheckResponse::SERVING : HealthCheckResponse::NOT_SERVING;
  const auto stub = grpc::health::v1::Health::NewStub(NewChannel());
  grpc::ClientContext context;
  context.set_deadline(absl::ToChronoTime(absl::Now() + kPatience));
  grpc::health::v1::HealthCheckRequest request;
  request.set_service("hmar.v1.ImageGenerationService");
  const auto watch = stub->Watch(&context, request);
  for (HealthCheckResponse response; watch->Read(&response);) {
    if (response.status() != wanted) continue;
    context.TryCancel();
    return true;
  }
  return false;
}

std::string TestServer::NextAccessLine() { return access_lines_->Next(); }

std::vector<std::string> TestServer::TakeAccessLines() { return access_lines_->TakeAll(); }

absl::Status TestServer::AwaitFatal() const {
  const auto has_fatal = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return !fatal_.ok(); };
  absl::MutexLock lock(&mutex_);
  mutex_.AwaitWithTimeout(absl::Condition(&has_fatal), kPatience);
  return fatal_;
}

ServerOptions LoopbackOptions() {
  ServerOptions options;
  options.listen = "127.0.0.1:0";
  return options;
}

std::vector<v1::Image> StreamResult::images() const {
  std::vector<v1::Image> images;
  for (const auto& event : events) {
    if (event.has_image()) images.push_back(event.image());
  }
  return images;
}

std::vector<v1::Preview> StreamResult::previews() const {
  std::vector<v1::Preview> previews;
  for (const auto& event : events) {
    if (event.has_preview()) previews.push_back(event.preview());
  }
  return previews;
}

const v1::Image* StreamResult::image(uint32_t index) const {
  for (const auto& event : events) {
    if (event.has_image() && event.image().image_index() == index) return &event.image();
  }
  return nullptr;
}

StreamResult Generate(v1::ImageGenerationService::Stub& stub, const v1::GenerateRequest& request) {
  grpc::ClientContext context;
  context.set_deadline(absl::ToChronoTime(absl::Now() + kPatience));
  return Generate(stub, &context, request);
}

StreamResult Generate(v1::ImageGenerationService::Stub& stub, grpc::ClientContext* context,
                      const v1::GenerateRequest& request) {
  StreamResult result;
  const auto stream = stub.Generate(context, request);
  for (v1::GenerateResponse event; stream->Read(&event);) result.events.push_back(event);
  result.status = stream->Finish();
  return result;
}

v1::GenerateRequest SmallRequest(uint64_t seed, uint32_t images) {
  v1::GenerateRequest request;
  request.set_class_id(1);
  request.set_seed(seed);
  request.set_num_images(images);
  request.mutable_output()->set_format(v1::OutputOptions::FORMAT_RGB8);
  return request;
}

std::string ExpectedRgb(const EngineInfo& info, uint64_t seed) {
  const Picture picture = FakePicture(info, FakeTask(info, seed));
  return {picture.rgb.begin(), picture.rgb.end()};
}

}  // namespace hmar
