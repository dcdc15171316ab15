// `hmar watch`: looks at a server's metrics again and again, and shows what changed.

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "client/commands.h"
#include "client/metrics_scrape.h"
#include "client/printable.h"
#include "client/terminal/screen.h"
#include "client/terminal/text_columns.h"
#include "client/watch/server_counts.h"
#include "client/watch/watch_page.h"
#include "model/status_macros.h"

namespace hmar {
namespace {

constexpr absl::Duration kTimeout = absl::Seconds(5);  // Of one look.
constexpr absl::Duration kBetweenKeys = absl::Milliseconds(100);

class Watch {
 public:
  Watch(const WatchCommand& command, Canceller& canceller, Terminal& terminal)
      : command_(command),
        canceller_(canceller),
        terminal_(terminal),
        live_(!command.once && isatty(STDOUT_FILENO) == 1 && terminal.live()),
        screen_(terminal.Kind("never"), 1, terminal) {
    state_.address = Printable(ShowAddress(command.metrics));
  }

  ExitCode Run() {
    if (live_) terminal_.StartKeys();
    while (!Ended()) {
      Look().IgnoreError();  // It is shown.
      if (!Ended() && !Show()) return kExitOutput;
      Rest();
    }
    if (live_) screen_.Leave();
    terminal_.StopKeys();
    return canceller_.cancelled() ? kExitInterrupted : kExitOk;
  }

  // Two looks: rates need them.
  ExitCode RunOnce() {
    for (int look = 0; look < 2 && !Ended(); ++look) {
      if (look > 0) Rest();
      const absl::Status status = Look();
      if (!status.ok()) return ReportCall(status, canceller_);
    }
    if (Ended()) return kExitInterrupted;
    for (const std::string& line : WatchPage(state_, absl::Now())) absl::PrintF("%s\n", line);
    return kExitOk;
  }

 private:
  absl::Status Look() {
    const absl::StatusOr<ServerCounts> counts = Fetch();
    const absl::Time now = absl::Now();
    state_.failure = counts.ok() ? "" : Printable(std::string(counts.status().message()));
    if (!counts.ok()) return counts.status();
    state_.window.Add(*counts, now);
    state_.seen = now;
    return absl::OkStatus();
  }

  absl::StatusOr<ServerCounts> Fetch() {
    HMAR_ASSIGN_OR_RETURN(
        const std::vector<MetricSample> samples,
        Scrape(command_.metrics, {.timeout = kTimeout, .gives_up = [this] { return Ended(); }}));
    return CountsOf(samples);
  }

  // False: nobody can read it.
  bool Show() {
    if (live_) {
      Redraw();
      return true;
    }
    absl::PrintF("%s\n", WatchLine(state_, absl::Now(), absl::LocalTimeZone()));
    return std::fflush(stdout) == 0;
  }

  void Redraw() {
    screen_.Draw([this](const ScreenSize& size) {
      Frame frame;
      for (const std::string& line : WatchPage(state_, absl::Now())) {
        frame.lines.push_back(PlainLine(CutToColumns(line, std::max(size.columns, 2U) - 1)));
      }
      return frame;
    });
  }

  // Until the next look, or the end. A window of another size is drawn at once.
  void Rest() {
    const absl::Time until = absl::Now() + absl::Seconds(command_.interval_seconds);
    for (absl::Duration left; !Ended() && (left = until - absl::Now()) > absl::ZeroDuration();) {
      Wait(std::min(left, kBetweenKeys));
      if (live_ && screen_.resized()) Redraw();
    }
  }

  void Wait(absl::Duration time) {
    if (live_) {
      terminal_.StartKeys();
      terminal_.WaitForKey(time);
    } else {
      absl::SleepFor(time);
    }
  }

  bool Ended() {
    while (live_ && !quit_) {
      const std::optional<char> key = terminal_.ReadKey();
      if (!key) break;
      quit_ = *key == 'q' || *key == 'Q';
    }
    return quit_ || canceller_.cancelled();
  }

  const WatchCommand& command_;
  Canceller& canceller_;
  Terminal& terminal_;
  const bool live_;  // Redrawn in place, keys are read; else a line a look.
  Screen screen_;
  WatchState state_;
  bool quit_ = false;
};

}  // namespace

ExitCode RunWatch(const WatchCommand& command, Canceller& canceller, Terminal& terminal) {
  Watch watch(command, canceller, terminal);
  return command.once ? watch.RunOnce() : watch.Run();
}

}  // namespace hmar
