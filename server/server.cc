#include "server/server.h"

#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server_builder.h>
#include <spdlog/logger.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "grpc/health/v1/health.grpc.pb.h"
#include "model/status_macros.h"
#include "server/base/available_cores.h"
#include "server/base/errors.h"
#include "server/option_checks.h"
#include "server/ports.h"
#include "server/transport/certificate_end.h"
#include "server/transport/descriptors.h"
#include "server/transport/grpc_limits.h"
#include "server/transport/tls.h"

namespace hmar {
namespace {

constexpr absl::Duration kSoon = absl::Hours(7 * 24);  // As the alert HmarCertificateEnds has it.

// Through a temporary file: who waits for the file never reads half a number.
absl::Status WritePortFile(const std::string& path, int port) {
  const std::string temporary = path + ".tmp";
  std::ofstream file(temporary, std::ios::trunc);
  file << port << '\n';
  file.close();
  std::error_code error;
  if (file) std::filesystem::rename(temporary, path, error);
  if (!file || error) {
    return absl::InvalidArgumentError(absl::StrCat("--port-file: cannot write ", path));
  }
  return absl::OkStatus();
}

GrpcLimits GrpcLimitsOf(const ServerOptions& options) {
  GrpcLimits limits;
  limits.max_message_bytes = options.max_message_bytes;
  limits.max_concurrent_streams = options.max_concurrent_streams;
  limits.memory_bytes = options.transport_memory_bytes;
  limits.handshake = absl::Seconds(options.receive_seconds);
  limits.keepalive = absl::Seconds(options.keepalive_seconds);
  limits.keepalive_timeout = absl::Seconds(options.keepalive_timeout_seconds);
  limits.min_ping_interval = absl::Seconds(options.min_ping_seconds);
  limits.max_ping_strikes = options.max_ping_strikes;
  if (options.max_connection_age_seconds > 0) {
    limits.connection_age = absl::Seconds(options.max_connection_age_seconds);
    limits.connection_grace = absl::Seconds(options.max_connection_age_grace_seconds);
  }
  return limits;
}

// New calls are refused before old ones have to be ended: what those that run make is still to
// come.
DeliveryOptions DeliveriesOf(const ServerOptions& options) {
  const size_t bytes = options.delivery_buffer_bytes;
  return {bytes, bytes / 4 * 3, bytes / 2, absl::Seconds(options.send_seconds)};
}

// Twice as many as a connection may have open: a client that counts right is ahead of the server's
// books by what it has just reset.
ReceiveLimits ReceiveLimitsOf(const ServerOptions& options) {
  return {absl::Seconds(options.receive_seconds), 2 * options.max_concurrent_streams};
}

// Until it has been measured, nobody knows what a step should take, but that the probe's are to end
// within --probe-seconds.
StepWatchOptions WatchOptionsOf(const ServerOptions& options) {
  if (options.hang_seconds == 0) return {absl::InfiniteDuration(), absl::InfiniteDuration()};
  return {absl::Seconds(options.hang_seconds), absl::Seconds(options.probe_seconds)};
}

TlsFiles TlsFilesOf(const ServerOptions& options) {
  return {options.tls_cert, options.tls_key, options.tls_client_ca};
}

}  // namespace

absl::StatusOr<std::unique_ptr<Server>> Server::Start(const ServerOptions& options,
                                                      ServerDependencies dependencies) {
  auto server = std::unique_ptr<Server>(new Server(options, std::move(dependencies)));
  HMAR_RETURN_IF_ERROR(CheckTlsFiles(TlsFilesOf(options)));
  HMAR_RETURN_IF_ERROR(CheckPorts(options));
  HMAR_ASSIGN_OR_RETURN(const std::vector<Device> devices, ParseDevices(options.device));
  HMAR_ASSIGN_OR_RETURN(
      server->engines_,
      LoadModels(options, devices, server->dependencies_.make_engine,
                 server->dependencies_.log.get(),
                 [raw = server.get()](const std::string& what) { raw->OnLoadLate(what); }));
  HMAR_RETURN_IF_ERROR(server->BuildCore(devices));
  HMAR_RETURN_IF_ERROR(server->OpenHttp());
  HMAR_RETURN_IF_ERROR(server->ListenForMetrics());
  HMAR_RETURN_IF_ERROR(server->Listen());
  for (const std::unique_ptr<EngineLoop>& loop : server->loops_) loop->Start();
  server->prober_ = std::thread([raw = server.get()] { raw->ProbeModels(); });
  return server;
}

Server::Server(const ServerOptions& options, ServerDependencies dependencies)
    : options_(options),
      dependencies_(std::move(dependencies)),
      access_log_(dependencies_.access) {}

Server::~Server() {
  Drain(absl::ZeroDuration());
  JoinThreads();
}

absl::Status Server::BuildCore(const std::vector<Device>& devices) {
  SchedulerOptions scheduler_options;
  scheduler_options.max_queued_images = options_.max_queued_images;
  scheduler_options.max_queued_images_per_client = options_.max_queued_images_per_client;
  scheduler_options.starts_closed = true;
  scheduler_options.reserved_slots = options_.reserved_slots;
  scheduler_options.aging = absl::Seconds(options_.aging_seconds);
  scheduler_options.upload_cache_bytes = options_.upload_cache_bytes;
  scheduler_options.max_step_rows = LimitsOf(options_, devices.front()).max_step_rows;
  for (const DeviceEngines& engines : engines_) {
    std::vector<EngineInfo>& infos = scheduler_options.devices.emplace_back();
    for (const std::unique_ptr<Engine>& engine : engines) infos.push_back(engine->info());
  }
  for (const Device& device : devices) device_names_.push_back(device.name);
  HMAR_RETURN_IF_ERROR(CheckBuffers(options_, scheduler_options.models()));
  HMAR_RETURN_IF_ERROR(MakeMetrics(devices));
  catalog_ = std::make_unique<ModelCatalog>(scheduler_options.models(), device_names_);
  deliveries_ = std::make_unique<Deliveries>(DeliveriesOf(options_), dependencies_.clock);
  scheduler_ = std::make_unique<Scheduler>(std::move(scheduler_options), dependencies_.clock,
                                           metrics_.get());
  EncoderPoolOptions encoder_options;
  encoder_options.threads = static_cast<int>(ChooseEncoderThreads(devices));
  encoder_options.clock = dependencies_.clock;
  encoder_ = std::make_unique<EncoderPool>(encoder_options);
  upload_readers_ = std::make_unique<UploadReaders>(
      UploadReadersOptions{static_cast<int>(options_.upload_threads), options_.upload_decode_bytes,
                           dependencies_.clock});
  admission_ =
      std::make_unique<CallAdmission>(AdmissionOptions(), upload_readers_.get(), encoder_.get(),
                                      deliveries_.get(), dependencies_.clock, metrics_.get());
  doorkeeper_ = std::make_unique<Doorkeeper>(dependencies_.keys, admission_.get(),
                                             options_.trust_forwarded_for, metrics_.get());
  hang_watcher_ = std::make_unique<HangWatcher>(
      WatchOptionsOf(options_), devices.size(),
      dependencies_.steady_clock == nullptr ? &steady_clock_ : dependencies_.steady_clock,
      [this](const OverdueStep& step) { OnHungStep(step); });
  for (size_t i = 0; i < devices.size(); ++i) {
    loops_.push_back(std::make_unique<EngineLoop>(scheduler_.get(), i, std::move(engines_[i]),
                                                  metrics_.get(), HooksOf(i)));
  }
  service_ = std::make_unique<ImageGenerationService>(MakeContext());
  health_ = std::make_unique<HealthService>(v1::ImageGenerationService::service_full_name(),
                                            ReceiveLimitsOf(options_));
  if (options_.reflection == "off") return absl::OkStatus();
  reflection_ = std::make_unique<ReflectionServices>(
      std::vector{v1::GenerateRequest::descriptor()->file(),
                  grpc::health::v1::HealthCheckRequest::descriptor()->file()},
      absl::Seconds(options_.receive_seconds));
  return absl::OkStatus();
}

uint32_t Server::ChooseEncoderThreads(const std::vector<Device>& devices) const {
  const uint32_t cores = AvailableCores();
  const uint32_t threads = EncoderThreads(options_, devices, cores);
  if (options_.encoder_threads == 0) {
    dependencies_.log->info("--encoder-threads 0: {} of {} cores", threads, cores);
  }
  return threads;
}

// A client has half of each bound, or what its largest request may take where that is more.
CallAdmissionOptions Server::AdmissionOptions() const {
  const size_t uploads = options_.upload_buffer_bytes, pictures = options_.encoder_buffer_bytes;
  return {{options_.max_open_calls, options_.max_open_calls_per_client},
          {uploads, std::max(uploads / 2, size_t{2} * options_.max_upload_bytes)},
          {pictures, pictures / 2}};
}

ServiceContext Server::MakeContext() {
  ServiceContext context;
  context.catalog = catalog_.get();
  context.scheduler = scheduler_.get();
  context.encoder = encoder_.get();
  context.upload_readers = upload_readers_.get();
  context.admission = admission_.get();
  context.doorkeeper = doorkeeper_.get();
  context.deliveries = deliveries_.get();
  context.clock = dependencies_.clock;
  context.random = dependencies_.random;
  context.metrics = metrics_.get();
  context.access_log = &access_log_;
  // More than the queue ever holds would be refused for ever.
  context.limits.max_images = std::min({options_.max_images_per_request, options_.max_queued_images,
                                        options_.max_queued_images_per_client});
  // A larger reply would be too much for all before it is gathered.
  context.limits.max_reply_bytes =
      std::min(options_.max_message_bytes, options_.delivery_buffer_bytes / 2);
  context.limits.default_png_compression = static_cast<int>(options_.png_compression);
  context.limits.upload.max_bytes = options_.max_upload_bytes;
  context.limits.upload.max_pixels = options_.max_upload_pixels;
  context.receive_limits = ReceiveLimitsOf(options_);
  context.mailbox.max_bytes = options_.stream_buffer_bytes;
  context.mailbox.preview_bytes = options_.stream_buffer_bytes / 4;
  return context;
}

absl::Status Server::Listen() {
  const TlsFiles tls = TlsFilesOf(options_);
  const ConnectionLimits limits = FitToDescriptors();
  auto listener = Listener::Open(options_.listen, limits, metrics_.get(), dependencies_.log);
  if (!listener.ok()) return CannotListen("--listen", options_.listen, listener.status());
  HMAR_RETURN_IF_ERROR(StartGrpc(MakeServerCredentials(tls)));
  listener_ = *std::move(listener);
  port_ = listener_->port();
  HMAR_RETURN_IF_ERROR(ListenForHttp());
  listener_->Start([this](int fd) {
    grpc::experimental::ExternalConnectionAcceptor::NewConnectionParameters connection;
    connection.fd = fd;
    acceptor_->HandleNewConnection(&connection);
  });
  dependencies_.log->info("listening on {}, port {}{}", options_.listen, port_,
                          tls.on() ? ", with TLS" : "");
  if (tls.on()) TellCertificateEnd();
  if (!tls.on() && !listener_->loopback_only()) {
    dependencies_.log->warn(
        "--listen {}: other machines reach this server, and nothing is encrypted{}",
        options_.listen, dependencies_.keys == nullptr ? "" : ": keys can be read on the way");
  }
  if (options_.port_file.empty()) return absl::OkStatus();
  return WritePortFile(options_.port_file, port_);
}

void Server::TellCertificateEnd() const {
  const absl::StatusOr<absl::Time> end = CertificateEnd(options_.tls_cert);
  if (!end.ok()) return;  // Exchanged since it was checked.
  const absl::Duration left = *end - dependencies_.clock->Now();
  dependencies_.log->log(left < kSoon ? spdlog::level::warn : spdlog::level::info,
                         "--tls-cert: {} {}", left < absl::ZeroDuration() ? "ended" : "good until",
                         absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", *end, absl::UTCTimeZone()));
}

absl::Status Server::StartGrpc(const std::shared_ptr<grpc::ServerCredentials>& credentials) {
  grpc::ServerBuilder builder;
  SetGrpcLimits(GrpcLimitsOf(options_), &builder);
  acceptor_ = builder.experimental().AddExternalConnectionAcceptor(
      grpc::ServerBuilder::experimental_type::ExternalConnectionType::FROM_FD, credentials);
  builder.RegisterService(service_.get());
  builder.RegisterService(health_.get());
  if (reflection_ != nullptr) {
    for (grpc::Service* version : reflection_->services()) builder.RegisterService(version);
  }
  grpc_server_ = builder.BuildAndStart();
  if (grpc_server_ == nullptr) return absl::InternalError("gRPC could not start");
  return absl::OkStatus();
}

ConnectionLimits Server::FitToDescriptors() const {
  const DescriptorLimit descriptors = RaiseDescriptorLimit();
  const ConnectionLimits wanted = {options_.max_connections, options_.max_connections_per_peer};
  const ConnectionLimits limits = ConnectionLimits::Within(wanted, descriptors.now);
  dependencies_.log->info("descriptors: limit raised from {} to {}, {} connections",
                          descriptors.before, descriptors.now, limits.max_connections);
  if (limits.max_connections < wanted.max_connections) {
    dependencies_.log->warn("--max-connections {} needs more descriptors: only {} are kept",
                            wanted.max_connections, limits.max_connections);
  }
  return limits;
}

EngineLoopHooks Server::HooksOf(size_t device) {
  EngineLoopHooks hooks;
  hooks.on_lost = [this, device](const absl::Status& status) { OnDeviceLost(device, status); };
  hooks.on_fault = [this, device](const std::string& what) {
    dependencies_.log->error("device {}, {}", device_names_[device], what);
  };
  hooks.hang_watcher = hang_watcher_.get();
  return hooks;
}

}  // namespace hmar
