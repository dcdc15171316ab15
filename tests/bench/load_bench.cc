// A closed-loop client: C callers, each with one Generate call in flight, against a running server.
//
//   load_bench --target HOST:PORT [--model NAME] [--concurrency 16] [--images 128] [--warm-up 0]
//   [--connections 1] [--previews none|fast|full] [--format png|rgb]
//
// Prints images a second, over the whole run and over the part of it in which every caller had a
// call in flight ("saturated": from the end of the last caller's first call to the moment when a
// caller found nothing left to do; give at least 20 times as many images as callers), and the
// percentiles of a call's time and of the time to its first preview.

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <string>
#include <thread>
#include <vector>

#include <CLI/CLI.hpp>

#include <grpcpp/create_channel.h>

#include "client/client.h"

namespace hmar {
namespace {

double Seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

struct Load {
  std::string server = "localhost:50051";
  std::string model;
  int concurrency = 16;
  int images = 128;
  int warm_up = 0;
  int connections = 1;
  uint32_t classes = 1;  // The model's.
  std::string previews = "none";
  std::string format = "png";
};

// What one caller measured, in seconds.
struct Times {
  std::vector<double> calls;
  std::vector<double> first_previews;
  std::vector<double> ends;  // Of the calls, on the clock.
  double idle_from = 0;      // When there was nothing left to do, on the clock.
};

v1::GenerateRequest Request(const Load& load, int i) {
  v1::GenerateRequest request;
  request.set_model(load.model);
  request.set_class_id(static_cast<uint32_t>(i) % load.classes);
  request.set_seed(static_cast<uint64_t>(i));
  if (load.previews == "fast") request.mutable_previews()->set_mode(v1::PreviewOptions::MODE_FAST);
  if (load.previews == "full") request.mutable_previews()->set_mode(v1::PreviewOptions::MODE_FULL);
  request.mutable_output()->set_format(load.format == "rgb" ? v1::OutputOptions::FORMAT_RGB8
                                                            : v1::OutputOptions::FORMAT_PNG);
  return request;
}

// Makes images until `next` has reached `end`; a failed call ends the program.
Times Call(const Load& load, Client* client, std::atomic<int>* next, int end) {
  Times times;
  for (int i = (*next)++; i < end; i = (*next)++) {
    const double start = Seconds();
    double first_preview = 0;
    const absl::Status status =
        client->Generate(Request(load, i), [&](const v1::GenerateResponse& event) {
          if (event.has_preview() && first_preview == 0) first_preview = Seconds() - start;
          return absl::OkStatus();
        });
    if (!status.ok()) {
      std::fprintf(stderr, "call %d: %s\n", i, status.ToString().c_str());
      std::exit(1);
    }
    times.ends.push_back(Seconds());
    times.calls.push_back(times.ends.back() - start);
    if (first_preview > 0) times.first_previews.push_back(first_preview);
  }
  times.idle_from = Seconds();
  return times;
}

// Makes images `first` .. `end` - 1 with all callers.
std::vector<Times> Run(const Load& load, std::vector<Client>* clients, int first, int end) {
  std::atomic<int> next = first;
  std::vector<Times> times(load.concurrency);
  std::vector<std::jthread> callers;
  for (int i = 0; i < load.concurrency; ++i) {
    Client* client = &(*clients)[i % clients->size()];
    callers.emplace_back([&, i, client] { times[i] = Call(load, client, &next, end); });
  }
  callers.clear();  // Joins.
  return times;
}

// Images a second while every caller had a call in flight; 0 where there was no such time.
double SaturatedRate(const std::vector<Times>& times) {
  double from = 0;
  double to = Seconds();
  for (const Times& mine : times) {
    if (mine.ends.empty()) return 0;
    from = std::max(from, mine.ends.front());
    to = std::min(to, mine.idle_from);
  }
  double images = 0;
  for (const Times& mine : times) {
    images += std::count_if(mine.ends.begin(), mine.ends.end(),
                            [&](double end) { return end > from && end <= to; });
  }
  return to > from ? images / (to - from) : 0;
}

// The value that `share` of the sorted times stay under.
double Percentile(const std::vector<double>& sorted, double share) {
  return sorted[std::min(sorted.size() - 1,
                         static_cast<size_t>(share * static_cast<double>(sorted.size())))];
}

void Print(const char* what, std::vector<double> seconds) {
  if (seconds.empty()) return;
  std::sort(seconds.begin(), seconds.end());
  std::printf("  %s ms: p50 %.1f  p90 %.1f  p95 %.1f  p99 %.1f\n", what,
              1e3 * Percentile(seconds, 0.5), 1e3 * Percentile(seconds, 0.9),
              1e3 * Percentile(seconds, 0.95), 1e3 * Percentile(seconds, 0.99));
}

// One client a connection: gRPC shares connections between channels of equal arguments.
std::vector<Client> Connect(const Load& load) {
  std::vector<Client> clients;
  for (int i = 0; i < load.connections; ++i) {
    grpc::ChannelArguments arguments;
    arguments.SetMaxReceiveMessageSize(-1);
    arguments.SetInt("hmar.connection", i);
    clients.emplace_back(
        grpc::CreateCustomChannel(load.server, grpc::InsecureChannelCredentials(), arguments));
  }
  return clients;
}

void Report(const Load& load, const std::vector<Times>& times, double took) {
  Times all;
  for (const Times& mine : times) {
    all.calls.insert(all.calls.end(), mine.calls.begin(), mine.calls.end());
    all.first_previews.insert(all.first_previews.end(), mine.first_previews.begin(),
                              mine.first_previews.end());
  }
  std::printf("concurrency %d  previews %s  format %s: images/s %.2f  saturated %.2f\n",
              load.concurrency, load.previews.c_str(), load.format.c_str(), load.images / took,
              SaturatedRate(times));
  Print("call", all.calls);
  Print("first preview", all.first_previews);
}

int Main(int argc, char** argv) {
  Load load;
  CLI::App app("Loads a running hmar-server from a closed loop of callers");
  app.add_option("--target,--server", load.server, "HOST:PORT")->capture_default_str();
  app.add_option("--model", load.model, "Name of the model; none: the server's default");
  app.add_option("--concurrency", load.concurrency, "Calls in flight")
      ->capture_default_str()
      ->check(CLI::Range(1, 1024));
  app.add_option("--images", load.images, "Calls, of one image each")
      ->capture_default_str()
      ->check(CLI::Range(1, 1000000));
  app.add_option("--warm-up", load.warm_up, "Calls before those that count")
      ->capture_default_str()
      ->check(CLI::Range(0, 1000000));
  app.add_option("--connections", load.connections, "Connections that the callers share")
      ->capture_default_str()
      ->check(CLI::Range(1, 256));
  app.add_option("--previews", load.previews)
      ->check(CLI::IsMember({"none", "fast", "full"}))
      ->capture_default_str();
  app.add_option("--format", load.format)
      ->check(CLI::IsMember({"png", "rgb"}))
      ->capture_default_str();
  CLI11_PARSE(app, argc, argv);

  std::vector<Client> clients = Connect(load);
  const absl::StatusOr<v1::Model> model = clients.front().GetModel(load.model);
  if (!model.ok()) return std::fprintf(stderr, "%s\n", model.status().ToString().c_str()), 1;
  load.classes = std::max(1, model->classes_size());
  Run(load, &clients, load.images, load.images + load.warm_up);
  const double start = Seconds();
  const std::vector<Times> times = Run(load, &clients, 0, load.images);
  const double took = Seconds() - start;
  Report(load, times, took);
  return 0;
}

}  // namespace
}  // namespace hmar

int main(int argc, char** argv) { return hmar::Main(argc, argv); }
