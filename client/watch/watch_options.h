#ifndef HMAR_CLIENT_WATCH_WATCH_OPTIONS_H_
#define HMAR_CLIENT_WATCH_WATCH_OPTIONS_H_

#include "client/metrics_scrape.h"

namespace CLI {
class App;
}  // namespace CLI

namespace hmar {

// `hmar watch`.
struct WatchCommand {
  MetricsAddress metrics = {"localhost", 9090, "/metrics"};
  double interval_seconds = 1;  // Between two looks.
  bool once = false;            // Two looks, and the end.
};

// Adds the command with its flags, which set `command`; it outlives the app.
CLI::App* AddWatch(CLI::App& app, WatchCommand& command);

}  // namespace hmar

#endif  // HMAR_CLIENT_WATCH_WATCH_OPTIONS_H_
