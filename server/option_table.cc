#include "server/option_table.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "server/devices.h"

namespace hmar {
namespace {

constexpr double kMaxUint32 = std::numeric_limits<uint32_t>::max();

std::string CheckModel(const std::string& text) {
  return std::string(ParseModelSpec(text).status().message());
}

std::string CheckAddress(const std::string& text) {
  const size_t colon = text.rfind(':');
  uint32_t port = 0;
  if (colon != std::string::npos && colon > 0 && absl::SimpleAtoi(text.substr(colon + 1), &port) &&
      port <= 65535) {
    return "";
  }
  return absl::StrCat("'", text, "' is not HOST:PORT with a port of 0 to 65535");
}

std::string CheckOptionalAddress(const std::string& text) {
  return text.empty() ? "" : CheckAddress(text);
}

std::string CheckOrigin(const std::string& text) {
  if (text.empty() || text == "*") return "";
  const size_t host = text.find("://");
  const bool one_word =
      std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c <= '~'; });
  if (host != std::string::npos && host > 0 && one_word && host + 3 < text.size() &&
      text.find('/', host + 3) == std::string::npos) {
    return "";
  }
  return absl::StrCat("'", text, "' is neither * nor scheme://host[:port]");
}

std::string CheckDevice(const std::string& text) {
  return std::string(ParseDevices(text).status().message());
}

// The value of a [NAME=]VALUE.
std::string ValueOf(const std::string& setting) { return setting.substr(setting.find('=') + 1); }

// Which names there are is for the model's loader to know.
std::string CheckArchitecture(const std::string& text) {
  if (!ValueOf(text).empty()) return "";
  return absl::StrCat("'", text, "' is not [NAME=]ARCH");
}

std::string CheckPrecision(const std::string& text) {
  for (const char* precision : {"auto", "fp32", "bf16", "fp8"}) {
    if (ValueOf(text) == precision) return "";
  }
  return absl::StrCat("'", text, "' is none of auto, fp32, bf16, fp8");
}

std::string CheckOnOff(const std::string& text) {
  return text == "on" || text == "off" ? "" : absl::StrCat("'", text, "' is neither on nor off");
}

std::string CheckLogLevel(const std::string& text) {
  for (const char* level : {"trace", "debug", "info", "warn", "error", "off"}) {
    if (text == level) return "";
  }
  return absl::StrCat("'", text, "' is none of trace, debug, info, warn, error, off");
}

// What runs, and on what.
std::vector<OptionRow> ModelRows(ServerOptions* o) {
  return {
      {"model", "NAME=PATH", &o->models,
       "A model folder and the name that requests use for it. Give it once a model; the first is "
       "the default. None given: the bundled hmar-cifar10",
       0, 0, CheckModel},
      {"architecture", "[NAME=]ARCH", &o->architectures,
       "Architecture of a model folder without a config.json: hmar-d16, hmar-d20, hmar-d24, "
       "hmar-d30; with NAME= of that model, without of all that have none of their own. Repeatable",
       0, 0, CheckArchitecture},
      {"device", "cpu|cuda:N[,cuda:M...]", &o->device,
       "Where the models run; with several GPUs each holds every model, and an image goes to the "
       "one "
       "that will finish it first",
       0, 0, CheckDevice},
      {"precision", "[NAME=]auto|fp32|bf16|fp8", &o->precisions,
       "What a device computes a model in: fp32 on the CPU, bf16 or fp8 on a GPU; auto: fp32, "
       "bf16. "
       "NAME= as in --architecture. Repeatable",
       0, 0, CheckPrecision},
      {"threads", "N", &o->threads,
       "CPU threads of one operator; 0: one for each core that the process may use, by its "
       "affinity and "
       "its control group's quota",
       0, 1024},
  };
}

// Where it is reached.
std::vector<OptionRow> PortRows(ServerOptions* o) {
  return {
      {"listen", "HOST:PORT", &o->listen,
       "Where to serve gRPC; port 0 takes a free one. 0.0.0.0 is every address of the machine: "
       "with "
       "TLS, or where a network is trusted",
       0, 0, CheckAddress},
      {"http", "HOST:PORT", &o->http,
       "Where to serve the API over HTTP, as OpenAI's clients speak it, and a page to try it with; "
       "empty: nowhere",
       0, 0, CheckOptionalAddress},
      {"http-threads", "N", &o->http_threads,
       "Threads that answer HTTP requests, each one at a time; one client address's up to half of "
       "them, those that wait for images up to seven eighths",
       1, 4096},
      {"http-buffer-bytes", "N", &o->http_buffer_bytes,
       "What the bodies of HTTP requests may take together until they are read, one client's up to "
       "half of it, or --max-message-bytes; more are refused with 429",
       1 << 20, kMaxUint32},
      {"http-allow-origin", "ORIGIN", &o->http_allow_origin,
       "Whose pages may call the API beside the server's own (CORS): *, or scheme://host[:port]; "
       "empty: nobody's",
       0, 0, CheckOrigin},
      {"tls-cert", "FILE", &o->tls_cert,
       "Certificate of the server and those up to its root, in PEM; read again when it changes. "
       "Empty: no TLS"},
      {"tls-key", "FILE", &o->tls_key, "Key of that certificate, likewise"},
      {"tls-client-ca", "FILE", &o->tls_client_ca,
       "Whose certificates clients must have, in PEM; empty: they need none"},
      {"keys", "FILE", &o->keys,
       "Who may call, and how much: a TOML file of API keys' hashes; read again when it changes, "
       "and on SIGHUP. Empty: everybody may"},
      {"reflection", "on|off", &o->reflection,
       "Whether gRPC reflection tells anybody what the API is; health is always there", 0, 0,
       CheckOnOff},
      {"port-file", "FILE", &o->port_file, "Write the gRPC port in use to this file"},
      {"metrics", "HOST:PORT", &o->metrics,
       "Where to serve Prometheus metrics, on /metrics; empty: nowhere", 0, 0,
       CheckOptionalAddress},
      {"metrics-basic-auth", "FILE", &o->metrics_basic_auth,
       "Who may read the metrics: lines USER:HASH, a password's crypt(5) hash, as of htpasswd -B; "
       "empty: everybody"},
  };
}

// What the models may be given to do.
std::vector<OptionRow> WorkRows(ServerOptions* o) {
  return {
      {"max-images-in-flight", "N", &o->max_images_in_flight,
       "Images of one model that run at the same time on a device; 0: 64 on the CPU, all that fit "
       "on a GPU",
       0, 65536},
      {"max-queued-images", "N", &o->max_queued_images,
       "Images that may wait, over all models; more are refused with RESOURCE_EXHAUSTED. For "
       "priorities above 0 there is room for an eighth more, for those below 0 for an eighth less",
       1, 1e6},
      {"max-queued-images-per-client", "N", &o->max_queued_images_per_client,
       "Of these, one client's, likewise", 1, 1e6},
      {"max-images-per-request", "N", &o->max_images_per_request, "Limit of num_images", 1, 65536},
      {"max-step-rows", "N", &o->max_step_rows,
       "Token rows that one step of a model may have; more rows, more throughput, longer steps; 0: "
       "1024 on the CPU, 20480 on a GPU",
       0, 1 << 24},
      {"reserved-slots", "N", &o->reserved_slots,
       "Of a model's images in flight on a device, how many only a priority above 0, or a client "
       "that runs nothing there, may be; never more than a quarter of them",
       0, 65536},
      {"aging-seconds", "N", &o->aging_seconds,
       "How much longer than an image of the next higher priority one must have waited to go "
       "before "
       "it",
       1, 86400},
      {"trust-forwarded-for", "", &o->trust_forwarded_for,
       "Clients are told apart by the first address of x-forwarded-for, which a proxy must set, "
       "not "
       "by the peer's"},
  };
}

// What goes out.
std::vector<OptionRow> AnswerRows(ServerOptions* o) {
  return {
      {"encoder-threads", "N", &o->encoder_threads,
       "Threads that encode pictures; 0: the cores that the engines leave (a core a GPU is its "
       "engine's, "
       "--threads are the CPU's), at most 8 a device, at least 1",
       0, 256},
      {"encoder-buffer-bytes", "N", &o->encoder_buffer_bytes,
       "Pictures that may wait to be encoded, over all calls, one client's up to half of it; "
       "holding "
       "more, new requests are refused with RESOURCE_EXHAUSTED",
       1 << 20, kMaxUint32},
      {"png-compression", "0..9", &o->png_compression,
       "zlib level of PNGs for requests that do not say", 0, 9},
      {"max-message-bytes", "N", &o->max_message_bytes,
       "Largest request, and largest reply of GenerateImages", 1 << 16, 1 << 30},
      {"stream-buffer-bytes", "N", &o->stream_buffer_bytes,
       "What a stream may hold for a slow client; beyond a quarter of it previews are dropped, "
       "beyond all of it the stream ends with RESOURCE_EXHAUSTED",
       1 << 16, kMaxUint32},
      {"delivery-buffer-bytes", "N", &o->delivery_buffer_bytes,
       "What all calls together may hold for their clients; beyond it all previews are dropped "
       "first, "
       "then calls of the client that holds most end with RESOURCE_EXHAUSTED. Where half of it "
       "waits "
       "for one client, its new requests are refused; where three quarters do for all, those of "
       "clients that hold most",
       1 << 17, kMaxUint32},
      {"send-seconds", "N", &o->send_seconds,
       "Longest time that a client may take to read one message; then its call ends with "
       "RESOURCE_EXHAUSTED",
       1, 3600},
  };
}

// What reaches the port.
std::vector<OptionRow> ConnectionRows(ServerOptions* o) {
  return {
      {"max-open-calls", "N", &o->max_open_calls,
       "Open calls, over all connections, from their headers on; more are refused with "
       "RESOURCE_EXHAUSTED",
       1, 1e6},
      {"max-open-calls-per-client", "N", &o->max_open_calls_per_client, "Of these, one client's", 1,
       1e6},
      {"max-concurrent-streams", "N", &o->max_concurrent_streams, "Open calls of one connection", 1,
       1 << 20},
      {"max-connections", "N", &o->max_connections,
       "Open connections; more are closed at once. Each takes two of the process's descriptors, "
       "whose limit is raised as far as it goes",
       1, 1e6},
      {"max-connections-per-peer", "N", &o->max_connections_per_peer,
       "Of these, one client address's, or one IPv6 /64's; behind a proxy all are the proxy's", 1,
       1e6},
      {"transport-memory-bytes", "N", &o->transport_memory_bytes,
       "What gRPC may hold of requests that have not arrived in full, over all connections; beyond "
       "it some are cancelled with RESOURCE_EXHAUSTED",
       1 << 24, kMaxUint32},
      {"receive-seconds", "N", &o->receive_seconds,
       "Longest time for a request to arrive in full, and for a new connection's handshake", 1,
       3600},
      {"keepalive-seconds", "N", &o->keepalive_seconds,
       "A connection that is silent for so long is asked whether its client is still there", 1,
       86400},
      {"keepalive-timeout-seconds", "N", &o->keepalive_timeout_seconds,
       "Longest time for the answer; then the connection is closed and its calls end", 1, 3600},
      {"min-ping-seconds", "N", &o->min_ping_seconds,
       "Least time between two pings of a client to which nothing was sent in between; one that "
       "comes earlier is a strike",
       0, 3600},
      {"max-ping-strikes", "N", &o->max_ping_strikes,
       "Strikes that a connection may have; one more closes it with GOAWAY ENHANCE_YOUR_CALM. 0: "
       "any number",
       0, 1000},
      {"max-connection-age-seconds", "N", &o->max_connection_age_seconds,
       "A connection of this age, give or take a tenth, is asked to go: it takes no new calls, so "
       "that clients spread over the servers that there are by then. 0: any age",
       0, 2e6},
      {"max-connection-age-grace-seconds", "N", &o->max_connection_age_grace_seconds,
       "Longest time for the calls of such a connection to end; then they are cancelled", 1, 2e6},
  };
}

// What edits bring.
std::vector<OptionRow> UploadRows(ServerOptions* o) {
  return {
      {"max-upload-bytes", "N", &o->max_upload_bytes,
       "Largest image, and largest mask, of an edit; a request has room for both within "
       "--max-message-bytes",
       1024, 1 << 30},
      {"max-upload-pixels", "N", &o->max_upload_pixels,
       "Most pixels that an uploaded picture may have; while it is read each takes 3 bytes of "
       "memory, more of a progressive JPEG or a lossless WebP",
       1024, 1 << 30},
      {"upload-threads", "N", &o->upload_threads,
       "Threads that read uploaded pictures, one of them small uploads alone; 0: half the cores, "
       "at "
       "least 2 and at most 16",
       0, 256},
      {"upload-buffer-bytes", "N", &o->upload_buffer_bytes,
       "What the uploads of open calls may take, from the files to what is kept of them until the "
       "call ends, one client's up to half of it, or as much as one request may bring; more are "
       "refused with RESOURCE_EXHAUSTED",
       1 << 20, kMaxUint32},
      {"upload-decode-bytes", "N", &o->upload_decode_bytes,
       "What all uploads may take together while they are read, at least 4 bytes for each of "
       "--max-upload-pixels; a quarter is for uploads of at most a sixteenth, which wait for no "
       "larger one",
       1 << 16, kMaxUint32},
      {"upload-cache-bytes", "N", &o->upload_cache_bytes,
       "What the tokens of uploaded pictures may take, so that variations and retries of an edit "
       "do not encode again; 0: none are kept",
       0, kMaxUint32},
  };
}

// From its start to its end.
std::vector<OptionRow> LifeRows(ServerOptions* o) {
  return {
      {"load-seconds", "N", &o->load_seconds,
       "Longest time for all models to load on all devices; then the process ends with exit code "
       "5. 0: no limit",
       0, 86400},
      {"probe-seconds", "N", &o->probe_seconds,
       "Longest time for the probe image that each model makes before the server is ready", 1,
       3600},
      {"hang-seconds", "N", &o->hang_seconds,
       "A step of a device that has not ended after so long, and after ten times what it should "
       "take, hangs: the device is lost. 0: no limit",
       0, 86400},
      {"drain-delay-seconds", "N", &o->drain_delay_seconds,
       "After SIGTERM or SIGINT health says NOT_SERVING, and requests are taken for so long, until "
       "balancers have noticed",
       0, 3600},
      {"drain-seconds", "N", &o->drain_seconds,
       "Longest time to finish accepted requests after that", 0, 86400},
      {"log-level", "LEVEL", &o->log_level, "trace, debug, info, warn, error or off", 0, 0,
       CheckLogLevel},
      {"access-log,!--no-access-log", "", &o->access_log,
       "A line of JSON on standard output for each request; --no-access-log turns it off"},
  };
}

}  // namespace

std::vector<OptionRow> OptionTable(ServerOptions* options) {
  std::vector<OptionRow> table;
  for (auto* rows :
       {ModelRows, PortRows, WorkRows, AnswerRows, ConnectionRows, UploadRows, LifeRows}) {
    const std::vector<OptionRow> some = rows(options);
    table.insert(table.end(), some.begin(), some.end());
  }
  return table;
}

}  // namespace hmar
