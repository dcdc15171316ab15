// A closed-loop client: C callers, each with one Generate call in flight, against a running server.
//
//   load_bench --server HOST:PORT [--concurrency 16] [--images 128] [--previews none|fast|full]
//   [--format png|rgb]
//
// Prints images a second and the percentiles of a call's time and of the time to its first preview.

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <string>
#include <thread>
#include <vector>

#include <CLI/CLI.hpp>

#include "client/client.h"

namespace hmar {
namespace {

double Seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

struct Load {
  std::string server = "localhost:50051";
  int concurrency = 16;
  int images = 128;
  std::string previews = "none";
  std::string format = "png";
};

// What one caller measured, in seconds.
struct Times {
  std::vector<double> calls;
  std::vector<double> first_previews;
};

v1::GenerateRequest Request(const Load& load, int i) {
  v1::GenerateRequest request;
  request.set_class_id(static_cast<uint32_t>(i % 10));
  request.set_seed(static_cast<uint64_t>(i));
  if (load.previews == "fast") request.mutable_previews()->set_mode(v1::PreviewOptions::MODE_FAST);
  if (load.previews == "full") request.mutable_previews()->set_mode(v1::PreviewOptions::MODE_FULL);
  request.mutable_output()->set_format(load.format == "rgb" ? v1::OutputOptions::FORMAT_RGB8
                                                            : v1::OutputOptions::FORMAT_PNG);
  return request;
}

// Makes images until `next` has reached the end; a failed call ends the program.
Times Call(const Load& load, Client* client, std::atomic<int>* next) {
  Times times;
  for (int i = (*next)++; i < load.images; i = (*next)++) {
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
    times.calls.push_back(Seconds() - start);
    if (first_preview > 0) times.first_previews.push_back(first_preview);
  }
  return times;
}

// The value that `share` of the sorted times stay under.
double Percentile(const std::vector<double>& sorted, double share) {
  return sorted[std::min(sorted.size() - 1,
                         static_cast<size_t>(share * static_cast<double>(sorted.size())))];
}

void Print(const char* what, std::vector<double> seconds) {
  if (seconds.empty()) return;
  std::sort(seconds.begin(), seconds.end());
  std::printf("  %s ms: p50 %.0f  p90 %.0f  p99 %.0f\n", what, 1e3 * Percentile(seconds, 0.5),
              1e3 * Percentile(seconds, 0.9), 1e3 * Percentile(seconds, 0.99));
}

int Main(int argc, char** argv) {
  Load load;
  CLI::App app("Loads a running hmar-server from a closed loop of callers");
  app.add_option("--server", load.server, "HOST:PORT")->capture_default_str();
  app.add_option("--concurrency", load.concurrency, "Calls in flight")
      ->capture_default_str()
      ->check(CLI::Range(1, 1024));
  app.add_option("--images", load.images, "Calls, of one image each")
      ->capture_default_str()
      ->check(CLI::Range(1, 1000000));
  app.add_option("--previews", load.previews)
      ->check(CLI::IsMember({"none", "fast", "full"}))
      ->capture_default_str();
  app.add_option("--format", load.format)
      ->check(CLI::IsMember({"png", "rgb"}))
      ->capture_default_str();
  CLI11_PARSE(app, argc, argv);

  Client client(load.server);
  std::atomic<int> next = 0;
  std::vector<Times> times(load.concurrency);
  const double start = Seconds();
  {
    std::vector<std::jthread> callers;
    for (Times& mine : times) callers.emplace_back([&] { mine = Call(load, &client, &next); });
  }
  const double took = Seconds() - start;
  Times all;
  for (const Times& mine : times) {
    all.calls.insert(all.calls.end(), mine.calls.begin(), mine.calls.end());
    all.first_previews.insert(all.first_previews.end(), mine.first_previews.begin(),
                              mine.first_previews.end());
  }
  std::printf("concurrency %d  previews %s  format %s: images/s %.2f\n", load.concurrency,
              load.previews.c_str(), load.format.c_str(), load.images / took);
  Print("call", all.calls);
  Print("first preview", all.first_previews);
  return 0;
}

}  // namespace
}  // namespace hmar

int main(int argc, char** argv) { return hmar::Main(argc, argv); }
