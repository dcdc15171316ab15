// What a server shows of itself: its metrics, and where they are served.

#include <spdlog/logger.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "model/status_macros.h"
#include "server/base/version.h"
#include "server/operations/scraped_gauges.h"
#include "server/server.h"
#include "server/transport/certificate_end.h"

namespace hmar {
namespace {

// Over the models of a device, by kind in the order of their first mention.
std::vector<MemoryUse> MemoryOf(const DeviceEngines& engines) {
  std::vector<MemoryUse> sums;
  for (const std::unique_ptr<Engine>& engine : engines) {
    for (const MemoryUse& use : engine->info().memory) {
      const auto sum = std::find_if(sums.begin(), sums.end(), [&use](const MemoryUse& other) {
        return other.kind == use.kind;
      });
      if (sum == sums.end()) {
        sums.push_back(use);
      } else {
        sum->bytes += use.bytes;
      }
    }
  }
  return sums;
}

}  // namespace

absl::Status Server::MakeMetrics(const std::vector<Device>& devices) {
  std::vector<Metrics::Model> models;
  for (const std::unique_ptr<Engine>& engine : engines_.front()) {
    const EngineInfo& info = engine->info();
    models.push_back({info.config.name, info.digest, info.precision,
                      static_cast<uint32_t>(info.config.num_scales())});
  }
  std::vector<Metrics::Device> places;
  for (size_t i = 0; i < devices.size(); ++i) {
    places.push_back({devices[i].name, MemoryOf(engines_[i])});
  }
  HMAR_ASSIGN_OR_RETURN(metrics_, Metrics::Create(models, places, ServerVersion()));
  // So that their series are there before they call; those of later keys come with their first.
  const KeyRing* keys = dependencies_.keys;
  for (const std::string& name : keys == nullptr ? std::vector<std::string>() : keys->names()) {
    metrics_->MeterOf(name);
  }
  return absl::OkStatus();
}

// They read parts of the server, which closes the metrics port before any of these goes.
std::shared_ptr<ScrapedGauges> Server::MakeGauges() const {
  auto gauges = std::make_shared<ScrapedGauges>();
  gauges->Add("hmar_ready", "1 while health says that the server is ready, else 0.", {},
              [this] { return health_->ready() ? 1 : 0; });
  gauges->Add("hmar_waiting_clients", "Clients that have images waiting.", {},
              [this] { return static_cast<double>(scheduler_->waiting_clients()); });
  gauges->Add("hmar_open_calls", "Calls of the API, from their headers to their end.", {},
              [this] { return static_cast<double>(admission_->open_calls()); });
  if (!options_.tls_cert.empty()) {
    gauges->Add(
        "hmar_certificate_expiration_timestamp_seconds",
        "When the first certificate of --tls-cert ends; 0: the file holds none.", {}, [this] {
          return absl::ToDoubleSeconds(
              CertificateEnd(options_.tls_cert).value_or(absl::UnixEpoch()) - absl::UnixEpoch());
        });
  }
  const auto add_buffer = [&gauges](const char* name, size_t limit, std::function<size_t()> held) {
    gauges->Add("hmar_buffer_bytes", "What is held now, by what for.", {{"buffer", name}},
                [held = std::move(held)] { return static_cast<double>(held()); });
    gauges->Add("hmar_buffer_limit_bytes", "Most that is held, by what for.", {{"buffer", name}},
                [limit] { return static_cast<double>(limit); });
  };
  add_buffer("delivery", options_.delivery_buffer_bytes,
             [this] { return deliveries_->held_bytes(); });
  add_buffer("encoder", options_.encoder_buffer_bytes,
             [this] { return admission_->picture_bytes(); });
  add_buffer("upload", options_.upload_buffer_bytes, [this] { return admission_->upload_bytes(); });
  if (http_ != nullptr) {
    add_buffer("http", std::max(options_.http_buffer_bytes, options_.max_message_bytes),
               [this] { return http_->body_bytes(); });
  }
  return gauges;
}

absl::Status Server::ListenForMetrics() {
  if (options_.metrics.empty()) return absl::OkStatus();
  std::vector<std::shared_ptr<prometheus::Collectable>> metrics = {metrics_->collectable(),
                                                                   MakeGauges()};
  if (dependencies_.log_metrics != nullptr) metrics.push_back(dependencies_.log_metrics);
  auto metrics_server =
      MetricsServer::Start(options_.metrics, std::move(metrics), dependencies_.metrics_auth);
  if (!metrics_server.ok()) {
    return absl::Status(
        metrics_server.status().code(),
        absl::StrCat("--metrics: ", std::string(metrics_server.status().message())));
  }
  metrics_server_ = *std::move(metrics_server);
  dependencies_.log->info("metrics on port {}", metrics_server_->port());
  return absl::OkStatus();
}

}  // namespace hmar
